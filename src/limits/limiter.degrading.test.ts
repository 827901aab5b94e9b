import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../kernel/clock.manual.ts'
import { StoreUnavailable } from '../kernel/errors.ts'
import { limiterContract } from './limiter.contract.ts'
import { DegradingLimiter, shareOf } from './limiter.degrading.ts'
import { MemoryLimiter } from './limiter.memory.ts'
import type { Limit, Limiter } from './limiter.ts'

/** A shared limiter whose store can be taken away, and that counts its calls. */
class FrailLimiter implements Limiter {
  readonly #limiter: Limiter
  isAway = false
  calls = 0

  constructor(limiter: Limiter) {
    this.#limiter = limiter
  }

  async take(tenant: string, name: string, limit: Limit, cost?: number) {
    this.calls++
    if (this.isAway) throw new StoreUnavailable('limit')
    return this.#limiter.take(tenant, name, limit, cost)
  }
}

function setup({ processes = 4, maxRefusals = 100 } = {}) {
  const clock = new ManualClock()
  const shared = new FrailLimiter(new MemoryLimiter({ clock }))
  const census = { size: processes }
  const limiter = new DegradingLimiter({ limiter: shared, census, clock, maxRefusals })
  const limit = { capacity: 8, perSecond: 4 }
  const take = (cost = 1, tenant = 'acme') => limiter.take(tenant, 'requests', limit, cost)
  return { clock, shared, census, limiter, limit, take }
}

limiterContract(
  'degrading (its store at hand)',
  (clock) => new DegradingLimiter({ limiter: new MemoryLimiter({ clock }), census: { size: 2 }, clock }),
)

test('with the store away a process enforces its share, and says so', async () => {
  const { shared, take, clock } = setup()
  shared.isAway = true
  assert.deepEqual(await take(), { taken: true, remaining: 1, retryAfterMs: 0, resetMs: 1_000, degraded: true })
  assert.equal((await take()).taken, true)
  assert.deepEqual(await take(), { taken: false, remaining: 0, retryAfterMs: 1_000, resetMs: 2_000, degraded: true })
  await clock.advance(1_000)
  assert.equal((await take()).taken, true)
})

test('with the store away and its number never known, everything passes and says so', async () => {
  const { shared, take } = setup({ processes: 0 })
  shared.isAway = true
  for (let n = 0; n < 100; n++) {
    const { taken, degraded } = await take()
    assert.deepEqual({ taken, degraded }, { taken: true, degraded: true })
  }
})

test('it goes back to the store by itself', async () => {
  const { shared, take } = setup()
  shared.isAway = true
  await take()
  shared.isAway = false
  const grant = await take()
  assert.equal(grant.degraded, false)
  assert.equal(grant.remaining, 7)
})

test('a share lets one request pass, however many processes there are', () => {
  assert.deepEqual(shareOf({ capacity: 3, perSecond: 1 }, 10), { capacity: 1, perSecond: 0.1 })
})

test('a cost above the share takes the whole share', async () => {
  const { shared, take } = setup()
  shared.isAway = true
  assert.equal((await take(8)).taken, true)
  assert.equal((await take(1)).taken, false)
})

test('a refused tenant is refused here until the time it was told, without a call', async () => {
  const { shared, take, clock } = setup()
  await take(8)
  const { retryAfterMs } = await take()
  const calls = shared.calls
  await clock.advance(retryAfterMs - 1)
  assert.deepEqual(await take(), { taken: false, remaining: 0, retryAfterMs: 1, resetMs: 1_751, degraded: false })
  assert.equal(shared.calls, calls)
  await clock.advance(1)
  assert.equal((await take()).taken, true)
})

test('another cost than the refused one is asked for', async () => {
  const { shared, take } = setup()
  await take(5)
  assert.equal((await take(4)).taken, false)
  const calls = shared.calls
  assert.equal((await take(4)).taken, false)
  assert.equal(shared.calls, calls)
  assert.equal((await take(3)).taken, true)
})

test('a refusal stands through an outage', async () => {
  const { shared, take } = setup()
  await take(8)
  await take()
  shared.isAway = true
  assert.equal((await take()).taken, false)
})

test('it remembers no more refusals than it may', async () => {
  const { shared, take } = setup({ maxRefusals: 1 })
  for (const tenant of ['a', 'b']) {
    await take(8, tenant)
    await take(1, tenant)
  }
  const calls = shared.calls
  await take(1, 'b')
  assert.equal(shared.calls, calls)
  await take(1, 'a')
  assert.equal(shared.calls, calls + 1)
})

test('a mistake is not taken for an outage', async () => {
  const { take } = setup()
  await assert.rejects(take(9), RangeError)
})
