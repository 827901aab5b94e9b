import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ManualClock } from '../kernel/clock.manual.ts'
import type { Clock } from '../kernel/clock.ts'
import { FULL, rateOf, take as takeGcra } from '../kernel/gcra.ts'
import type { Limit, Limiter } from './limiter.ts'

/** What every limiter owes its callers. Each adapter's test file runs this and nothing weaker. */
export function limiterContract(name: string, open: (clock: Clock) => Limiter): void {
  const limit: Limit = { capacity: 3, perSecond: 2 }

  const setup = () => {
    const clock = new ManualClock()
    const skew = { ms: 0 } // a manual clock only runs forwards
    const limiter = open({ now: () => clock.now() + skew.ms, sleep: (ms, signal) => clock.sleep(ms, signal) })
    const tenant = randomUUID() // each case has its own bucket
    const take = (cost = 1, of = limit) => limiter.take(tenant, 'requests', of, cost)
    return { clock, skew, limiter, tenant, take }
  }

  describe(`${name} limiter`, () => {
    test('admits its capacity and not one more', async () => {
      const { take } = setup()
      const grants = [await take(), await take(), await take(), await take()]
      assert.deepEqual(
        grants.map((grant) => [grant.taken, grant.remaining]),
        [
          [true, 2],
          [true, 1],
          [true, 0],
          [false, 0],
        ],
      )
    })

    test('says exactly how long to wait, and keeps its word', async () => {
      const { clock, take } = setup()
      await take(3)
      assert.deepEqual(await take(), {
        taken: false,
        remaining: 0,
        retryAfterMs: 500,
        resetMs: 1_500,
        degraded: false,
      })
      await clock.advance(499)
      assert.equal((await take()).taken, false)
      await clock.advance(1)
      assert.equal((await take()).taken, true)
    })

    test('a refusal charges nothing', async () => {
      const { take } = setup()
      await take(2)
      assert.equal((await take(2)).taken, false)
      assert.equal((await take(2)).taken, false)
      assert.equal((await take(1)).taken, true)
    })

    test('a full bucket stays full, however long nobody comes', async () => {
      const { clock, take } = setup()
      await take(1)
      await clock.advance(3_600_000)
      assert.equal((await take(3)).taken, true)
      assert.equal((await take(1)).taken, false)
    })

    test('tenants and names are apart', async () => {
      const { limiter, tenant, take } = setup()
      await take(3)
      assert.equal((await limiter.take(randomUUID(), 'requests', limit, 3)).taken, true)
      assert.equal((await limiter.take(tenant, 'ingress', limit, 3)).taken, true)
    })

    test('another limit starts with a full bucket, so that raising one helps at once', async () => {
      const { take } = setup()
      await take(3)
      assert.equal((await take(1, { capacity: 3, perSecond: 20 })).taken, true)
    })

    test('a clock that runs backwards grants nothing extra', async () => {
      const { skew, clock, take } = setup()
      await take(3)
      skew.ms = -10_000
      assert.equal((await take()).taken, false)
      skew.ms = 0
      assert.equal((await take()).taken, false)
      await clock.advance(500)
      assert.equal((await take()).taken, true)
    })

    test('a cost that no full bucket could bear is a mistake of the caller', async () => {
      const { take } = setup()
      await assert.rejects(take(4), RangeError)
      await assert.rejects(take(0), RangeError)
    })

    test('answers as the pure arithmetic does, step for step', async () => {
      const limits = fc.record({
        capacity: fc.integer({ min: 1, max: 20 }),
        perSecond: fc.double({ min: 0.02, max: 5_000, noNaN: true }),
      })
      const steps = fc.array(fc.record({ ms: fc.nat(3_000), cost: fc.integer({ min: 1, max: 20 }) }), { maxLength: 12 })
      await fc.assert(
        fc.asyncProperty(limits, steps, async (limit, walk) => {
          const { clock, limiter, tenant } = setup()
          let tat = FULL
          for (const { ms, cost: wanted } of walk) {
            const cost = Math.min(wanted, limit.capacity)
            await clock.advance(ms)
            const { allowed: taken, newTat, remaining, ...waits } = takeGcra(tat, clock.now(), rateOf(limit), cost)
            tat = newTat
            const { remaining: left, ...said } = await limiter.take(tenant, 'requests', limit, cost)
            assert.deepEqual(said, { taken, ...waits, degraded: false })
            assert.ok(taken ? left === remaining : left <= remaining)
          }
        }),
        { numRuns: 60 },
      )
    })

    test('two hundred at the same instant share one bucket', async () => {
      const { take } = setup()
      const grants = await Promise.all(Array.from({ length: 200 }, () => take()))
      assert.equal(grants.filter((grant) => grant.taken).length, 3)
    })
  })
}
