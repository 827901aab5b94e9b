import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startRedis, type TestRedis } from '../../test/support/redis.ts'
import { ManualClock } from '../kernel/clock.manual.ts'
import { systemClock } from '../kernel/clock.ts'
import { StoreUnavailable } from '../kernel/errors.ts'
import { RedisStore } from '../kernel/redis/store.ts'
import { limiterContract } from './limiter.contract.ts'
import { DegradingLimiter } from './limiter.degrading.ts'
import { RedisLimiter } from './limiter.redis.ts'
import { bucketId } from './limiter.ts'

describe('on a real Redis', () => {
  let redis: TestRedis
  let store: RedisStore
  before(async () => {
    redis = await startRedis()
    store = new RedisStore({ url: redis.url, keyPrefix: 'sluice:', commandTimeoutMs: 500 })
    await store.firstContact(2_000)
  })
  after(async () => {
    await store[Symbol.asyncDispose]()
    await redis[Symbol.asyncDispose]()
  })

  limiterContract('redis', (clock) => new RedisLimiter({ store, clock }))

  const limit = { capacity: 5, perSecond: 1 }
  const keyOf = (tenant: string) => store.keys.of(tenant, 'limit', bucketId(tenant, 'requests', limit))

  test('a bucket goes by itself, a second after it would be full', async () => {
    const limiter = new RedisLimiter({ store, clock: new ManualClock() })
    await limiter.take('goes', 'requests', limit, 2)
    const leftMs = await store.run('test', (client) => client.pttl(keyOf('goes')))
    assert.ok(leftMs > 2_900 && leftMs <= 3_000, `${leftMs}`)
  })

  test('two gateways share one bucket', async () => {
    const limiters = [0, 1].map(() => new RedisLimiter({ store, clock: systemClock }))
    const grants = await Promise.all(
      Array.from({ length: 40 }, (_, n) => limiters[n % 2]!.take('shared', 'requests', limit)),
    )
    assert.equal(grants.filter((grant) => grant.taken).length, 5)
  })

  test('a key of another type is an outage, not a grant', async () => {
    await store.run('test', (client) => client.lpush(keyOf('wrong'), 'x'))
    await assert.rejects(
      new RedisLimiter({ store, clock: systemClock }).take('wrong', 'requests', limit),
      StoreUnavailable,
    )
  })
})

test('a stopped Redis: each process enforces its share; let go again, the store decides again', async (t) => {
  const redis = await startRedis()
  t.after(() => redis[Symbol.asyncDispose]())
  const store = new RedisStore({ url: redis.url, keyPrefix: 'sluice:', commandTimeoutMs: 50 })
  t.after(() => store[Symbol.asyncDispose]())
  await store.firstContact(2_000)
  const shared = new RedisLimiter({ store, clock: systemClock })
  const limiter = new DegradingLimiter({ limiter: shared, census: { size: 2 }, clock: systemClock })
  const limit = { capacity: 10, perSecond: 0.001 }
  assert.equal((await limiter.take('acme', 'requests', limit)).degraded, false)

  redis.pause()
  const grants = []
  for (let n = 0; n < 7; n++) grants.push(await limiter.take('acme', 'requests', limit))
  assert.deepEqual(
    grants.map((grant) => grant.taken),
    [true, true, true, true, true, false, false],
  )
  assert.ok(grants.every((grant) => grant.degraded))

  redis.resume()
  await store.firstContact(3_000)
  let grant = await limiter.take('acme', 'requests', limit)
  while (grant.degraded) {
    await new Promise((resolve) => setTimeout(resolve, 20)) // the breaker lets go in its time
    grant = await limiter.take('acme', 'requests', limit)
  }
  assert.equal(grant.taken, true)
})
