import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { mint } from '../../test/support/tokens.ts'
import { CLAIMS, issuer, principal, START_AT, START_S, setup } from './tenancy.setup.test.ts'

const OTHER_SECRET = 'the secret of the other issuer, also long enough'

describe('memory', () => {
  test('a token is verified once, then answered at once and by the same caller', async () => {
    const { bearer, tenancy } = setup()
    const token = mint(CLAIMS)
    const first = bearer(token)
    assert.ok(first instanceof Promise)
    const caller = await first
    assert.equal(bearer(token), caller)
    assert.equal(tenancy.stats.remembered, 1)
  })

  test('requests that come together share one verification', () => {
    const { bearer } = setup()
    const token = mint(CLAIMS)
    assert.equal(bearer(token), bearer(token))
  })

  test('a remembered token expires to the millisecond, its tolerance included', async () => {
    const { bearer, clock } = setup([issuer({ clockToleranceMs: 1_500 })])
    const token = mint({ ...CLAIMS, exp: START_S + 10.25 })
    assert.equal((await bearer(token))?.expiresAt, START_AT + 10_250)
    await clock.advance(11_749)
    assert.ok(bearer(token))
    await clock.advance(1)
    assert.throws(() => bearer(token), { code: 'TOKEN_EXPIRED' })
  })

  for (const [name, claims, atMs, expected] of [
    ['its exp', { exp: START_S + 10.25 }, 11_750, 'TOKEN_EXPIRED'],
    ['just before its exp', { exp: START_S + 10.25 }, 11_749, 'alice'],
    ['just before its nbf', { nbf: START_S + 10.25 }, 8_749, 'TOKEN_INVALID'],
    ['its nbf', { nbf: START_S + 10.25 }, 8_750, 'alice'],
  ] as const) {
    test(`an unknown token is judged by the same line at ${name}`, async () => {
      const { outcomeOf, clock } = setup([issuer({ clockToleranceMs: 1_500 })])
      await clock.advance(atMs)
      assert.equal(principal(await outcomeOf(mint({ ...CLAIMS, ...claims }))), expected)
    })
  }

  test('a token refused as too early is accepted as soon as its time has come', async () => {
    const { outcomeOf, clock } = setup()
    const token = mint({ ...CLAIMS, nbf: START_S + 2 })
    assert.equal(await outcomeOf(token), 'TOKEN_INVALID')
    await clock.advance(2_000)
    assert.equal(principal(await outcomeOf(token)), 'alice')
  })

  test('a token without exp is accepted, and verified afresh every five minutes', async () => {
    const { bearer, clock } = setup()
    const token = mint({ sub: 'alice', tenant: 'acme' })
    assert.equal((await bearer(token))?.expiresAt, null)
    await clock.advance(299_999)
    assert.ok(!(bearer(token) instanceof Promise))
    await clock.advance(1)
    assert.ok(bearer(token) instanceof Promise)
  })

  test('a refused token is refused at once for ten seconds, then looked at again', async () => {
    const { bearer, clock } = setup()
    const token = mint({ ...CLAIMS, exp: START_S - 1 })
    await assert.rejects(async () => bearer(token), { code: 'TOKEN_EXPIRED' })
    assert.throws(() => bearer(token), { code: 'TOKEN_EXPIRED' })
    await clock.advance(10_000)
    const again = bearer(token)
    assert.ok(again instanceof Promise)
    await assert.rejects(again, { code: 'TOKEN_EXPIRED' })
  })

  test('it is bounded, forgets the least recently used, and counts that', async () => {
    const { bearer, tenancy } = setup([issuer()], { rememberTokens: 2 })
    const tokens = ['a', 'b', 'c'].map((sub) => mint({ ...CLAIMS, sub }))
    for (const token of tokens) await bearer(token)
    assert.deepEqual(tenancy.stats, { remembered: 2, evictions: 1 })
    assert.ok(!(bearer(tokens[2]!) instanceof Promise))
    assert.ok(bearer(tokens[0]!) instanceof Promise)
  })

  test('a flood of forged tokens pushes no good one out', async () => {
    const { bearer, outcomeOf } = setup([issuer()], { rememberTokens: 2 })
    const token = mint(CLAIMS)
    await bearer(token)
    for (let i = 0; i < 20; i++) await outcomeOf(mint({ ...CLAIMS, sub: i }, { secret: OTHER_SECRET }))
    assert.ok(!(bearer(token) instanceof Promise))
  })

  test('two issuers may not share a name', () => {
    assert.throws(() => setup([issuer(), issuer()]), /same name/)
  })
})
