import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { acme, POLICY, sent } from './headers.setup.test.ts'
import { HeaderRules, headerValue, upstreamTrailers } from './headers.ts'
import { endToEnd } from './hop-by-hop.ts'

describe('trusted headers', () => {
  for (const spelling of [
    'X-Tenant-Id',
    'x-tenant-id',
    'X_TENANT_ID',
    'x_tenant-id',
    'X.Tenant.Id',
    'X-TENANT_id',
    'x~tenant!id',
  ]) {
    for (const mode of ['cache', 'proxy'] as const) {
      test(`a client's ${spelling} never reaches the upstream in ${mode} mode`, () => {
        const { all, values } = sent([spelling, 'globex', spelling, 'evil'], {
          mode,
          caller: acme,
          extraHeaders: [spelling],
        })
        assert.deepEqual(values('x-tenant-id'), ['acme'])
        assert.ok(!all.some(([, value]) => value === 'globex' || value === 'evil'))
      })
    }
  }

  test('an anonymous caller has none', () => {
    const { values } = sent(['x-tenant-id', 'acme', 'x-principal-id', 'root'])
    assert.deepEqual([values('x-tenant-id'), values('x-principal-id')], [[], []])
  })

  test('a caller without a principal has no principal header, whatever the client says', () => {
    const { values } = sent(['X-Principal-Id', 'root'], { caller: { tenant: 'acme', principal: null } })
    assert.deepEqual(values('x-principal-id'), [])
  })

  test('naming them in Connection does not take the gateway’s own away', () => {
    const { values } = sent(['Connection', 'x-tenant-id, x-request-id'], { caller: acme })
    assert.deepEqual([values('x-tenant-id'), values('x-request-id')], [['acme'], ['req-1']])
  })

  test('they do not come by trailer either, nor do credentials and framing', () => {
    const rules = new HeaderRules(POLICY)
    const raw = [
      'x_tenant_id',
      'globex',
      'X-Checksum',
      '1',
      'Authorization',
      'x',
      'content-length',
      '3',
      'x-request-id',
      'r',
    ]
    assert.deepEqual(upstreamTrailers(raw, rules), [['X-Checksum', '1']])
  })

  for (const [text, expected] of [
    ['ann', 'ann'],
    ['a b', 'a%20b'],
    ['Jürgen', 'J%C3%BCrgen'],
    ['x\r\nX-Tenant-Id: globex', 'x%0D%0AX-Tenant-Id:%20globex'],
    ['100%', '100%25'],
    ['\ud800', '%EF%BF%BD'],
  ] as const) {
    test(`the principal ${JSON.stringify(text)} is sent as ${expected}`, () => {
      assert.equal(headerValue(text), expected)
    })
  }

  test('no two principals share a header value, and none holds more than visible ASCII', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
        assert.match(headerValue(a), /^[\x21-\x7e]*$/)
        assert.equal(headerValue(a) === headerValue(b), a.toWellFormed() === b.toWellFormed())
      }),
    )
  })
})

describe('credentials', () => {
  const raw = ['Authorization', 'Bearer t', 'X_GuestToken', 'g', 'Cookie', ' access_token=t ;theme=dark;access_token=u']

  test('are forwarded as they are', () => {
    const { values } = sent(raw)
    assert.deepEqual([values('authorization'), values('cookie')], [['Bearer t'], [raw[5]!]])
  })

  test('are stripped by name: headers in every spelling, and every cookie of that name', () => {
    const { values } = sent(raw, { credentials: 'strip' })
    assert.deepEqual([values('authorization'), values('x_guesttoken'), values('cookie')], [[], [], ['theme=dark']])
  })

  test('leave no empty cookie header behind', () => {
    assert.deepEqual(sent(['Cookie', 'access_token=t'], { credentials: 'strip' }).values('cookie'), [])
  })

  test('of the gateway replace the caller’s', () => {
    const { values } = sent([...raw, 'X-Api-Key', 'mine'], { credentials: { header: 'X-Api-Key', value: 'service' } })
    assert.deepEqual(
      [values('authorization'), values('x-api-key'), values('cookie')],
      [[], ['service'], ['theme=dark']],
    )
  })
})

describe('what a passthrough sends', () => {
  test('is everything end to end, in order, in the client’s spelling, duplicates kept', () => {
    const raw = [
      'ACCEPT',
      '*/*',
      'X-A',
      '1',
      'Host',
      'h',
      'x-a',
      '2',
      'Accept-Encoding',
      'br',
      'If-None-Match',
      '"1"',
      'Content-Length',
      '3',
    ]
    const { all } = sent(raw)
    assert.deepEqual(all.slice(0, 6), [
      ['ACCEPT', '*/*'],
      ['X-A', '1'],
      ['x-a', '2'],
      ['Accept-Encoding', 'br'],
      ['If-None-Match', '"1"'],
      ['Content-Length', '3'],
    ])
  })

  test('is nothing hop-by-hop and nothing that Connection names', () => {
    const { all } = sent([
      'Connection',
      'close, X-Hop',
      'X-Hop',
      '1',
      'Proxy-Connection',
      'x',
      'Keep-Alive',
      'x',
      'TE',
      'trailers',
      'X-End',
      '1',
    ])
    assert.deepEqual(
      all.filter(([name]) => !/forwarded|request-id/.test(name)),
      [['X-End', '1']],
    )
  })
})

test('an answer loses its hop-by-hop headers and keeps the rest as it was', () => {
  const raw = [
    'Connection',
    'X-Hop',
    'X-Hop',
    '1',
    'Transfer-Encoding',
    'chunked',
    'Set-Cookie',
    'a',
    'Set-Cookie',
    'b',
    'Proxy-Authenticate',
    'x',
  ]
  assert.deepEqual(endToEnd(raw), ['Set-Cookie', 'a', 'Set-Cookie', 'b'])
})
