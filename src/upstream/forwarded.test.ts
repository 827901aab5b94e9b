import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { clientAddress, forwardedHeaders, TrustedProxies } from './forwarded.ts'
import { sent } from './headers.setup.test.ts'

describe('forwarding headers', () => {
  const spoof = [
    'Host',
    'gw.example',
    'X-Forwarded-For',
    '10.9.9.9',
    'X-Forwarded-Host',
    'evil.example',
    'X-Forwarded-Proto',
    'https',
    'Forwarded',
    'for=10.9.9.9;host=evil.example',
    'X_Forwarded_For',
    '10.9.9.9',
    'X-Real-IP',
    '10.9.9.9',
    'X-Forwarded-Prefix',
    '/evil',
  ]

  test('of a stranger are dropped in every spelling and made anew', () => {
    const { all, values } = sent(spoof)
    assert.deepEqual(values('x-forwarded-for'), ['192.0.2.1'])
    assert.deepEqual(values('x-forwarded-proto'), ['http'])
    assert.deepEqual(values('x-forwarded-host'), ['gw.example'])
    assert.deepEqual(values('forwarded'), ['for=192.0.2.1;proto=http;host="gw.example"'])
    assert.ok(!all.some(([, value]) => /evil|10\.9\.9\.9/.test(value)))
  })

  for (const [entry, peer] of [
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.0/24', '192.0.2.77'],
    ['192.0.2.0/24', '::ffff:192.0.2.77'],
    ['2001:db8::/32', '2001:db8::5'],
  ] as const) {
    test(`of a proxy trusted as ${entry} are believed and continued`, () => {
      const { values } = sent(spoof, { peer, trusted: new TrustedProxies([entry]) })
      const plain = peer.replace('::ffff:', '')
      assert.deepEqual(values('x-forwarded-for'), [`10.9.9.9, ${plain}`])
      assert.deepEqual(values('x-forwarded-proto'), ['https'])
      assert.deepEqual(values('x-forwarded-host'), ['evil.example'])
      assert.match(values('forwarded')[0]!, /^for=10\.9\.9\.9;host=evil\.example, for=/)
    })
  }

  test('quote an IPv6 address and name no unbelievable scheme', () => {
    const trusted = new TrustedProxies(['::1'])
    const headers = forwardedHeaders({
      rawHeaders: ['Host', 'h', 'X-Forwarded-Proto', 'gopher'],
      peer: { address: '::1', scheme: 'https' },
      trusted,
    })
    assert.ok(headers.includes('for="[::1]";proto=https;host="h"'))
    assert.equal(headers[headers.indexOf('x-forwarded-proto') + 1], 'https')
  })

  for (const [peer, chain, expected] of [
    ['192.0.2.1', '1.1.1.1', '192.0.2.1'],
    ['10.0.0.1', '1.1.1.1', '1.1.1.1'],
    ['10.0.0.1', '6.6.6.6, 1.1.1.1, 10.0.0.2', '1.1.1.1'],
    ['10.0.0.1', '6.6.6.6, nonsense, 10.0.0.2', '10.0.0.2'],
    ['10.0.0.1', '', '10.0.0.1'],
  ] as const) {
    test(`the client behind ${peer} saying "${chain}" is ${expected}`, () => {
      const rawHeaders = ['X-Forwarded-For', chain]
      const trusted = new TrustedProxies(['10.0.0.0/8'])
      assert.equal(clientAddress({ rawHeaders, peer: { address: peer, scheme: 'http' }, trusted }), expected)
    })
  }
})
