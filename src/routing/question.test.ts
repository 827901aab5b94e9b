import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { frame, keyOf } from './frame.ts'
import { type Loose, setup } from './question.fixture.ts'
import type { KeyPolicy } from './question.ts'

describe('the key', () => {
  test('is 43 characters of base64url and the same in every process', () => {
    assert.equal(setup().key(), setup().key())
    assert.match(setup().key(), /^[\w-]{43}$/)
  })

  for (const [what, change] of [
    ['the identity', { identity: 'globex' }],
    ['the method', { method: 'PUT' }],
    ['the path', { path: '/api/query/' }],
    ['the query', { query: 'a=1' }],
    ['the body', { body: '{"a":2}' }],
    ['a named header', { headers: { accept: 'text/csv' } }],
    ['an empty named header, which is not an absent one', { headers: { accept: '' } }],
  ] as [string, Loose][]) {
    test(`changes with ${what}`, () => {
      const { key } = setup({ varyHeaders: ['Accept'] })
      assert.notEqual(key(change), key())
    })
  }

  for (const [what, policy] of [
    ['the route', { route: 'other' }],
    ['the upstream', { upstream: 'other' }],
    ['what is ignored', { ignoreBody: ['zzz'] }],
    ['which headers are named', { varyHeaders: ['accept'] }],
    ['how bodies are read', { body: 'raw' }],
  ] as [string, Partial<KeyPolicy>][]) {
    test(`changes with ${what}, so a reload never finds entries keyed by other rules`, () => {
      assert.notEqual(setup(policy).key(), setup().key())
    })
  }

  test('does not change with headers that are not named', () => {
    const { key } = setup({ varyHeaders: ['accept'] })
    assert.equal(key({ headers: { 'x-request-id': '1', accept: 'a' } }), key({ headers: { accept: 'a' } }))
  })

  test('of HEAD is that of GET', () => {
    const { key } = setup()
    assert.equal(key({ method: 'HEAD', body: '' }), key({ method: 'GET', body: '' }))
  })

  test('does not change with ignored fields and parameters', () => {
    const { key } = setup({ ignoreBody: ['client_id'], ignoreQuery: ['t'] })
    assert.equal(key({ body: '{"client_id":7,"a":1}', query: 't=1&b=2' }), key({ body: '{"a":1}', query: 'b=2' }))
  })

  test('tells identities apart that UTF-8 would merge', () => {
    const { key } = setup()
    assert.notEqual(key({ identity: '\ud800' }), key({ identity: '\ud801' }))
    assert.notEqual(key({ identity: '\ud800' }), key({ identity: '\ufffd' }))
  })

  test('does not depend on whether the memo knew the body', () => {
    const { ask, questioner } = setup({ tags: ['t:{body.a}'], bypass: ['body:a=1'] })
    const first = ask()
    assert.deepEqual(ask(), first)
    assert.deepEqual(ask({ query: 'x=1&x=2' }).bodyDigest, first.bodyDigest)
    assert.deepEqual(questioner.memo, { size: 1, hits: 1, misses: 1 })
  })

  test('is the same whether the whole question was known or not, and no header that counts is missed', () => {
    const policy = { varyHeaders: ['accept'], bypass: ['header:cache-control=no-cache'] }
    const changes = [
      {},
      { headers: { accept: 'a' } },
      { headers: { accept: 'b' } },
      { headers: { accept: 'a', 'cache-control': 'no-cache' } },
      { identity: 'other' },
      { path: '/other' },
      { query: 'x=1' },
    ]
    const { ask: warm } = setup(policy)
    const first = changes.map((change) => warm(change))
    assert.deepEqual(
      changes.map((change) => warm(change)),
      first,
    )
    assert.deepEqual(
      changes.map((change) => setup(policy).ask(change)),
      first,
    )
    assert.equal(new Set(first.map(({ key, bypass }) => `${key} ${bypass}`)).size, changes.length)
  })

  test('framing is injective', () => {
    const parts = fc.array(
      fc.option(fc.string({ unit: fc.constantFrom('1', '2', ':', '-', ';', 'a', '\ud800'), maxLength: 4 }), {
        nil: undefined,
      }),
      { maxLength: 4 },
    )
    const framed = (list: (string | undefined)[]) => list.map(frame).join('')
    fc.assert(
      fc.property(parts, parts, (one, other) => {
        const same =
          JSON.stringify(one.map((part) => part ?? null)) === JSON.stringify(other.map((part) => part ?? null))
        assert.equal(framed(one) === framed(other), same)
        assert.equal(keyOf(framed(one)) === keyOf(framed(other)), same)
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('explain', () => {
  test('shows every part, and the parts are all there is to the key', () => {
    const { explain, ask } = setup({ varyHeaders: ['accept', 'x'], tags: ['t:{body.a}'], bypass: ['query:force=true'] })
    const loose = { query: 'force=true&b=%7e', headers: { accept: 'a' }, body: ' {"b":2, "a":1}' }
    const { parts, ...rest } = explain(loose)
    const { key, tags, bypass, bodyDigest } = ask(loose)
    assert.deepEqual(rest, { key, tags, bypass, canonicalBody: '{"a":1,"b":2}', canonicalQuery: 'b=~&force=true' })
    assert.deepEqual(
      parts.map((part) => part.name),
      [
        'schema',
        'upstream',
        'route',
        'policy',
        'identity',
        'method',
        'path',
        'query',
        'body',
        'header accept',
        'header x',
      ],
    )
    assert.deepEqual(
      parts.slice(4).map((part) => part.value),
      ['acme', 'POST', '/api/query', 'b=~&force=true', bodyDigest, 'a', '(absent)'],
    )
    assert.equal(keyOf(parts.map(({ value }) => frame(value === '(absent)' ? undefined : value)).join('')), key)
  })

  test('has no canonical body where there is none', () => {
    assert.equal(setup().explain({ method: 'GET', body: '' }).canonicalBody, null)
    assert.equal(setup({ body: 'raw' }).explain().canonicalBody, null)
  })
})
