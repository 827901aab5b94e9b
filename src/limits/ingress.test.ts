import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ManualClock } from '../kernel/clock.manual.ts'
import { StoreUnavailable } from '../kernel/errors.ts'
import { batchSize, Ingress } from './ingress.ts'
import { MemoryLimiter } from './limiter.memory.ts'
import type { Grant, Limit, Limiter } from './limiter.ts'

const HUNDRED: Limit = { capacity: 100, perSecond: 100 }

/** Several processes over one shared bucket that counts its calls and can be taken away. */
function setup({ processes = 1, limit = HUNDRED } = {}) {
  const clock = new ManualClock()
  const bucket = new MemoryLimiter({ clock })
  const store = { calls: 0, charged: 0, isAway: false }
  const limiter: Limiter = {
    async take(tenant, name, of, cost = 1) {
      store.calls++
      if (store.isAway) throw new StoreUnavailable('limit')
      const grant = bucket.takeNow(tenant, name, of, cost)
      if (grant.taken) store.charged += cost
      return grant
    },
  }
  const census = { size: processes }
  const open = () => new Ingress({ limiter, census, clock })
  const doors = Array.from({ length: Math.max(1, processes) }, open)
  const tryTake = (door = 0, tenant = 'acme') => doors[door]!.tryTake(tenant, limit)
  return { clock, store, census, doors, tryTake }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

for (const [capacity, perSecond, processes, expected] of [
  [100, 100, 1, 10],
  [100, 100, 4, 2],
  [100, 100, 0, 10],
  [1_000, 1_000, 4, 25],
  [20, 1_000, 1, 2],
  [39, 39, 4, 0],
  [40, 40, 4, 1],
] as const) {
  test(`${perSecond}/s with a burst of ${capacity} over ${processes} processes is leased by ${expected}`, () => {
    assert.equal(batchSize({ capacity, perSecond }, processes), expected)
  })
}

test('with tokens at hand it answers at once', async () => {
  const { tryTake } = setup()
  const first = tryTake()
  assert.ok(first instanceof Promise)
  assert.deepEqual(await first, { taken: true, remaining: 99, retryAfterMs: 0, resetMs: 100, degraded: false })
  const second = tryTake()
  assert.ok(!(second instanceof Promise))
  assert.equal(second.taken, true)
  assert.equal(second.remaining, 98)
})

test('new tokens come before the old ones are spent, and one call brings many', async () => {
  const { tryTake, store, clock } = setup()
  await tryTake()
  for (let n = 0; n < 500; n++) {
    await clock.advance(10)
    assert.ok(!(tryTake() instanceof Promise), `request ${n} had to wait`)
  }
  assert.ok(store.calls <= 60, `${store.calls} calls`)
})

test('over its limit a tenant is refused here, without a call for each', async () => {
  const { tryTake, store, clock } = setup()
  let taken = 0
  for (let n = 0; n < 2_000; n++) {
    if ((await tryTake()).taken) taken++
    if (n % 2) await clock.advance(1) // 2,000 requests in one second
  }
  assert.ok(taken <= 200 && taken >= 180, `${taken} taken`)
  assert.ok(store.calls < 60, `${store.calls} calls`)
})

test('a refusal says when to come again, and then there are tokens', async () => {
  const { tryTake, clock } = setup()
  let grant: Grant
  do grant = await tryTake()
  while (grant.taken)
  assert.ok(grant.retryAfterMs > 0 && grant.retryAfterMs <= 100)
  assert.deepEqual(tryTake(), grant, 'and it says so at once')
  await clock.advance(grant.retryAfterMs)
  assert.equal((await tryTake()).taken, true)
})

test('a crowd that comes at once is served from few calls, and nobody beyond the bucket', async () => {
  const { tryTake, store } = setup()
  const grants = await Promise.all(Array.from({ length: 1_000 }, () => tryTake()))
  assert.equal(grants.filter((grant) => grant.taken).length, 100)
  assert.ok(store.calls <= 6, `${store.calls} calls`)
})

test('a limit too small for batches is charged request by request', async () => {
  const { tryTake, store } = setup({ limit: { capacity: 5, perSecond: 5 } })
  const grants = []
  for (let n = 0; n < 7; n++) grants.push((await tryTake()).taken)
  assert.deepEqual(grants, [true, true, true, true, true, false, false])
  assert.equal(store.calls, 7)
})

test('never spends what was not charged, over any number of processes', async () => {
  const walk = fc.array(fc.record({ door: fc.nat(2), crowd: fc.integer({ min: 1, max: 30 }), ms: fc.nat(400) }), {
    maxLength: 40,
  })
  await fc.assert(
    fc.asyncProperty(walk, async (steps) => {
      const { clock, tryTake, store } = setup({ processes: 3 })
      let [taken, passedMs] = [0, 0]
      for (const { door, crowd, ms } of steps) {
        const grants = await Promise.all(Array.from({ length: crowd }, () => tryTake(door)))
        taken += grants.filter((grant) => grant.taken).length
        await clock.advance(ms)
        passedMs += ms
        assert.ok(taken <= store.charged, `${taken} of ${store.charged}`)
        assert.ok(taken <= 100 + (passedMs * 100) / 1_000)
      }
    }),
    { numRuns: 50 },
  )
})

test('tokens that nobody wanted for long are dropped', async () => {
  const { tryTake, clock } = setup()
  await tryTake()
  await clock.advance(10_000)
  assert.ok(tryTake() instanceof Promise)
})

test('a changed limit counts from the next request on', async () => {
  const { doors, tryTake } = setup()
  await tryTake()
  assert.ok(doors[0]!.tryTake('acme', { capacity: 200, perSecond: 200 }) instanceof Promise)
})

test('tenants are apart', async () => {
  const { tryTake } = setup()
  await Promise.all(Array.from({ length: 200 }, () => tryTake()))
  assert.equal((await tryTake(0, 'globex')).taken, true)
})

test('an outage is no reason to stop while there are tokens; then it is the limiter’s to answer', async () => {
  const { tryTake, store } = setup()
  await tryTake()
  store.isAway = true
  for (let n = 0; n < 9; n++) assert.ok(!(tryTake() instanceof Promise))
  await settled()
  await assert.rejects(async () => tryTake(), StoreUnavailable)
  store.isAway = false
  assert.equal((await tryTake()).taken, true)
})

test('what was decided without the store says so', async () => {
  const clock = new ManualClock()
  const grant: Grant = { taken: true, remaining: 7, retryAfterMs: 0, resetMs: 0, degraded: true }
  const ingress = new Ingress({ limiter: { take: async () => grant }, census: { size: 1 }, clock })
  assert.equal((await ingress.tryTake('acme', HUNDRED)).degraded, true)
  assert.equal((await ingress.tryTake('acme', HUNDRED)).degraded, true)
})
