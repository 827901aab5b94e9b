import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import type { JWK } from 'jose'
import { generateTestKey, mintBy, type TestKey } from '../../test/support/tokens.ts'
import { COOLDOWN_MS, REFRESH_MS } from './jwks.ts'
import { asleep, CLAIMS, principal, publishing, setupProvider } from './tenancy.setup.test.ts'

const UNDATED = { ...CLAIMS, exp: undefined }

let one: TestKey
let two: TestKey
before(async () => {
  one = await generateTestKey('ES256', 'one')
  two = await generateTestKey('ES256', 'two')
})

describe('published keys', () => {
  test('many cold requests cost one fetch, and later ones none', async () => {
    await using idp = await setupProvider(publishing(one.jwk))
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, sub) => mintBy(one, { ...CLAIMS, sub })))
    const callers = await Promise.all(tokens.map((token) => idp.bearer(token)))
    assert.deepEqual(
      callers.map((caller) => caller?.principal),
      tokens.map((_, sub) => `${sub}`),
    )
    await idp.bearer(await mintBy(one, CLAIMS))
    assert.equal(idp.fetches(), 1)
  })

  test('a new kid is picked up as soon as the cooldown is over', async () => {
    await using idp = await setupProvider(publishing(one.jwk))
    await idp.bearer(await mintBy(one, CLAIMS))
    idp.provider.answer(publishing(one.jwk, two.jwk))
    const token = await mintBy(two, CLAIMS)
    await idp.clock.advance(COOLDOWN_MS - 1)
    assert.equal(await idp.outcomeOf(token), 'TOKEN_INVALID')
    assert.equal(idp.fetches(), 1)
    await idp.clock.advance(1)
    assert.equal(principal(await idp.outcomeOf(token)), 'alice')
    assert.equal(idp.fetches(), 2)
  })

  test('unknown kids cost one fetch per cooldown, however many are sent', async () => {
    await using idp = await setupProvider(publishing(one.jwk))
    await idp.bearer(await mintBy(one, CLAIMS))
    await idp.clock.advance(COOLDOWN_MS)
    const forged = await Promise.all(Array.from({ length: 50 }, (_, n) => mintBy(two, CLAIMS, { kid: `k${n}` })))
    const outcomes = await Promise.all(forged.map((token) => idp.outcomeOf(token)))
    assert.deepEqual(new Set(outcomes), new Set(['TOKEN_INVALID']))
    assert.equal(idp.fetches(), 2)
  })

  test('a key withdrawn in a rotation opens nothing more, for remembered tokens too', async () => {
    await using idp = await setupProvider(publishing(one.jwk))
    const token = await mintBy(one, CLAIMS)
    await idp.bearer(token)
    assert.ok(!(idp.bearer(token) instanceof Promise))
    idp.provider.answer(publishing(two.jwk))
    await idp.clock.advance(COOLDOWN_MS)
    assert.equal(principal(await idp.outcomeOf(await mintBy(two, CLAIMS))), 'alice')
    assert.equal(await idp.outcomeOf(token), 'TOKEN_INVALID')
  })

  test('a key exchanged under the same kid is picked up, too', async () => {
    await using idp = await setupProvider(publishing(one.jwk))
    await idp.bearer(await mintBy(one, CLAIMS))
    idp.provider.answer(publishing({ ...two.jwk, kid: 'one' }))
    await idp.clock.advance(COOLDOWN_MS)
    assert.equal(principal(await idp.outcomeOf(await mintBy(two, CLAIMS, { kid: 'one' }))), 'alice')
  })

  test('the same keys in another order forget no token', async () => {
    await using idp = await setupProvider(publishing(one.jwk, two.jwk))
    const token = await mintBy(one, CLAIMS)
    await idp.bearer(token)
    idp.provider.answer(publishing(two.jwk, one.jwk))
    await idp.clock.advance(COOLDOWN_MS)
    await idp.outcomeOf(await mintBy(two, CLAIMS, { kid: 'x' }))
    assert.equal(idp.fetches(), 2)
    assert.ok(!(idp.bearer(token) instanceof Promise))
  })

  test('keys are fetched anew every ten minutes, without anyone asking or waiting', async () => {
    await using idp = await setupProvider(publishing(one.jwk))
    const token = await mintBy(one, UNDATED)
    await idp.bearer(token)
    const answered = idp.provider.arrived(2)
    idp.provider.answer(publishing(two.jwk))
    await idp.clock.advance(REFRESH_MS)
    await answered
    await asleep(idp.clock)
    assert.equal(await idp.outcomeOf(token), 'TOKEN_INVALID')
    assert.equal(idp.fetches(), 2)
  })

  test('a token without kid is tried by each key that fits its algorithm', async () => {
    await using idp = await setupProvider(publishing(one.jwk, two.jwk))
    for (const key of [one, two]) {
      assert.equal(principal(await idp.outcomeOf(await mintBy(key, CLAIMS, { kid: undefined }))), 'alice')
    }
    const expired = await mintBy(two, { ...CLAIMS, exp: 1 }, { kid: undefined })
    assert.equal(await idp.outcomeOf(expired), 'TOKEN_EXPIRED')
    const stranger = await generateTestKey('ES256')
    assert.equal(await idp.outcomeOf(await mintBy(stranger, CLAIMS)), 'TOKEN_INVALID')
  })

  test('of the keys that fit a token without kid, the first eight are tried', async () => {
    const others = await Promise.all(Array.from({ length: 7 }, () => generateTestKey('ES256')))
    await using idp = await setupProvider(publishing(...others.map((key) => key.jwk), one.jwk, two.jwk))
    assert.equal(principal(await idp.outcomeOf(await mintBy(one, CLAIMS, { kid: undefined }))), 'alice')
    assert.equal(await idp.outcomeOf(await mintBy(two, CLAIMS, { kid: undefined })), 'TOKEN_INVALID')
  })

  test('what was found out about a refused token ends with the keys that found it out', async () => {
    await using idp = await setupProvider(publishing(one.jwk))
    const expired = await mintBy(one, { ...CLAIMS, exp: 1 })
    assert.equal(await idp.outcomeOf(expired), 'TOKEN_EXPIRED')
    idp.provider.answer(publishing(two.jwk))
    await idp.clock.advance(COOLDOWN_MS)
    assert.equal(await idp.outcomeOf(expired), 'TOKEN_EXPIRED')
    assert.equal(principal(await idp.outcomeOf(await mintBy(two, CLAIMS))), 'alice')
    assert.equal(await idp.outcomeOf(expired), 'TOKEN_INVALID')
  })

  test('a clock that is set back does not stop the fetching', async () => {
    await using idp = await setupProvider(publishing(one.jwk))
    await idp.bearer(await mintBy(one, UNDATED))
    idp.provider.answer(publishing(two.jwk))
    await idp.clock.advance(-3_600_000)
    assert.equal(principal(await idp.outcomeOf(await mintBy(two, UNDATED))), 'alice')
  })

  for (const [name, change] of [
    ['for encryption', { use: 'enc' }],
    ['for another algorithm', { alg: 'ES384' }],
    ['for signing only', { key_ops: ['sign'] }],
    ['of another curve', { crv: 'P-384' }],
    ['that is broken', { x: 'AAAA' }],
  ] as [string, JWK][]) {
    test(`a published key ${name} is not used, and spoils no other`, async () => {
      await using idp = await setupProvider((req, res) => publishing({ ...one.jwk, ...change }, two.jwk)(req, res))
      assert.equal(await idp.outcomeOf(await mintBy(one, CLAIMS)), 'TOKEN_INVALID')
      assert.equal(principal(await idp.outcomeOf(await mintBy(two, CLAIMS))), 'alice')
    })
  }
})
