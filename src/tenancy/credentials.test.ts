import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parsePlace } from './credentials.ts'
import { cookieValues } from './tenancy.ts'

describe('cookies', () => {
  for (const [header, expected] of [
    [undefined, []],
    ['', []],
    ['t=1', ['1']],
    ['a=0;t=1;  t = 2 ;t="3"', ['1', '2', '3']],
    ['t=a=b==', ['a=b==']],
    ['t=', ['']],
    ['t', []],
    ['T=1; xt=2; tx=3; t-t=4; x=t', []],
    ['t="', ['"']],
    [';;=;t=1;', ['1']],
  ] as const) {
    test(`${JSON.stringify(header)} gives t ${JSON.stringify(expected)}`, () => {
      assert.deepEqual(cookieValues(header, 't'), expected)
    })
  }

  test('no other cookie, whatever it holds, changes what a name gives', () => {
    const text = fc.stringMatching(/^[!#-+\x2d-:<>-~]*$/)
    fc.assert(
      fc.property(fc.array(text), fc.array(text), (before, after) => {
        const others = (texts: string[]) => texts.map((value, i) => `other${i}=${value}`)
        const header = [...others(before), 'token=x.y.z', ...others(after)].join('; ')
        assert.deepEqual(cookieValues(header, 'token'), ['x.y.z'])
      }),
    )
  })
})

describe('places', () => {
  test('headers are named in any case, cookies in their own', () => {
    assert.deepEqual(parsePlace('header:X-Token'), { text: 'header:x-token', kind: 'header', name: 'x-token' })
    assert.deepEqual(parsePlace('cookie:Sid'), { text: 'cookie:Sid', kind: 'cookie', name: 'Sid' })
  })

  for (const text of ['', 'header:', 'cookie', 'query:t', 'header:a b', 'header:a\n', 'cookie:a=b', 'header:cookie']) {
    test(`${JSON.stringify(text)} is no place`, () => assert.throws(() => parsePlace(text), TypeError))
  }
})
