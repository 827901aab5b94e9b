import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { POLICY, type Setup, sent } from './headers.setup.test.ts'
import { FILL_ACCEPT_ENCODING, type HeaderPolicy, HeaderRules } from './headers.ts'

describe('what a fill sends', () => {
  const sentByFill = (raw: string[], policy: Setup = {}) => sent(raw, { mode: 'cache', ...policy })

  for (const name of [
    'If-None-Match',
    'If-Modified-Since',
    'If-Match',
    'If-Range',
    'Range',
    'Cache-Control',
    'Pragma',
    'Cookie',
    'X-Forwarded-Host',
    'X-Forwarded-For',
    'Forwarded',
    'X-Original-URL',
    'X-HTTP-Method-Override',
    'Origin',
    'Referer',
    'Host',
    'Connection',
    'Keep-Alive',
    'TE',
    'Trailer',
    'Upgrade',
    'Transfer-Encoding',
    'Content-Length',
    'Expect',
    'X-Anything',
    'x_guesttoken',
    'Proxy-Authorization',
    'Accept',
    'Accept-Language',
  ]) {
    test(`is never ${name}`, () => {
      assert.deepEqual(sentByFill([name, 'v']).values(name.toLowerCase()), [])
    })
  }

  for (const name of ['Content-Type', 'User-Agent', 'traceparent', 'tracestate', 'Authorization', 'X-GuestToken']) {
    test(`is ${name}`, () => {
      assert.deepEqual(sentByFill([name, 'v']).values(name.toLowerCase()), ['v'])
    })
  }

  test('is what the route keys and what the operator adds, duplicates kept', () => {
    const { values } = sentByFill(['X-Locale', 'de', 'X-Locale', 'en', 'X-Client', 'bi'], {
      varyHeaders: ['X-Locale'],
      extraHeaders: ['x-client'],
    })
    assert.deepEqual([values('x-locale'), values('x-client')], [['de', 'en'], ['bi']])
  })

  test('is no conditional, even if a route keys it', () => {
    assert.deepEqual(
      sentByFill(['If-None-Match', '"1"'], { varyHeaders: ['if-none-match'] }).values('if-none-match'),
      [],
    )
  })

  for (const [name, policy, expected] of [
    ['user-agent', {}, true],
    ['authorization', {}, true],
    ['authorization', { credentials: 'strip' }, false],
    ['cookie', {}, true],
    ['cookie', { credentials: 'strip' }, false],
    ['x-tenant-id', {}, true],
    ['accept-language', {}, false],
    ['accept-language', { varyHeaders: ['Accept-Language'] }, true],
    ['origin', {}, false],
  ] as [string, Partial<HeaderPolicy>, boolean][]) {
    test(`${expected ? 'can' : 'cannot'} be ${name} with ${JSON.stringify(policy)}`, () => {
      assert.equal(new HeaderRules({ ...POLICY, ...policy }).sends(name), expected)
    })
  }

  test('is one coding list, whatever the client takes', () => {
    const { values } = sentByFill(['Accept-Encoding', 'br;q=1'], { varyHeaders: ['accept-encoding'] })
    assert.equal(values('accept-encoding').at(-1), FILL_ACCEPT_ENCODING)
  })

  test('is of the cookies only the one that carries a token', () => {
    const { values } = sentByFill(['Cookie', 'theme=dark; access_token=t; access_token_old=u'])
    assert.deepEqual(values('cookie'), ['access_token=t'])
  })
})
