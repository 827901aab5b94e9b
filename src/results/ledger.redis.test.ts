import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Redis } from 'ioredis'
import { startRedis, type TestRedis } from '../../test/support/redis.ts'
import { until } from '../../test/support/until.ts'
import { systemClock } from '../kernel/clock.ts'
import { type KeySpace, keySpace } from '../kernel/redis/keys.ts'
import { RedisStore } from '../kernel/redis/store.ts'
import { ledgerContract } from './ledger.contract.ts'
import { RedisLedger } from './ledger.redis.ts'

let server: TestRedis
/** With 16 shards, on a server in cluster mode: it refuses scripts whose keys lie in several slots. */
let cluster: TestRedis
let stores: RedisStore[]
let redis: Redis

before(async () => {
  server = await startRedis()
  cluster = await startRedis('--cluster-enabled', 'yes')
  const raw = new Redis(cluster.url)
  await raw.cluster('ADDSLOTSRANGE', 0, 16_383)
  await until(async () => (await raw.cluster('INFO')).includes('cluster_state:ok'))
  raw.disconnect()
  stores = await Promise.all([server, cluster].map(({ url }) => connect(url)))
  redis = new Redis(server.url)
})

after(async () => {
  redis.disconnect()
  for (const store of stores) await store[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
  await cluster[Symbol.asyncDispose]()
})

async function connect(url: string): Promise<RedisStore> {
  const store = new RedisStore({ url, keyPrefix: 'sluice:', commandTimeoutMs: 2_000 })
  await store.firstContact(2_000)
  return store
}

/** The stores are there once the tests run. */
function storeAt(index: number, keys: KeySpace) {
  const run = <T>(op: string, work: Parameters<RedisStore['run']>[1]) => stores[index]!.run(op, work) as Promise<T>
  return { keys, run: run as RedisStore['run'] }
}

ledgerContract('Redis', (clock) => new RedisLedger({ store: storeAt(0, keySpace('sluice:', 1)), clock }))
ledgerContract(
  'Redis in cluster mode',
  (clock) => new RedisLedger({ store: storeAt(1, keySpace('sluice:', 16)), clock }),
)

describe('Redis ledger', () => {
  const setup = (prefix: string) => {
    const keys = keySpace(prefix, 1)
    const ledger = new RedisLedger({ store: storeAt(0, keys), clock: systemClock })
    const add = (id: string, ttlMs: number) => ledger.add('acme', id, 10, Date.now() + ttlMs, 1_000)
    return { ledger, keys, add, names: () => redis.keys(`${prefix}*`) }
  }

  test('keeps its keys as long as its last result, and no longer', async () => {
    const { add, names } = setup('last:')
    await add('long', 60_000)
    await add('brief', 1_000)
    const lives = await Promise.all((await names()).map((key) => redis.pttl(key)))
    assert.equal(lives.length, 3)
    assert.ok(lives.every((leftMs) => leftMs > 50_000 && leftMs <= 60_000))
  })

  test('leaves no key once its results have expired', async () => {
    const { add, names } = setup('gone:')
    await add('a', 30)
    await until(async () => (await names()).length === 0)
  })

  test('leaves no key once its results were removed', async () => {
    const { ledger, add, names } = setup('removed:')
    await add('a', 60_000)
    await ledger.remove('acme', 'a')
    assert.equal(await ledger.total('acme'), 0)
    assert.deepEqual(await names(), [])
  })

  for (const part of ['order', 'ends', 'sizes']) {
    test(`begins an account anew when its ${part} were evicted`, async () => {
      const { ledger, keys, add } = setup(`evicted-${part}:`)
      await add('a', 60_000)
      await redis.del(keys.of('acme', 'results', part, 'acme'))
      await add('b', 60_000)
      assert.equal(await ledger.total('acme'), 10)
    })
  }

  test('two gateways share one account', async () => {
    const [one, two] = [setup('shared:'), setup('shared:')]
    await Promise.all(Array.from({ length: 40 }, (_, n) => (n % 2 ? one : two).add(`${n}`, 60_000)))
    assert.equal(await one.ledger.total('acme'), 400)
  })

  test('more that expired at once than one call strikes out costs no living one its place', async () => {
    const { ledger, keys, add } = setup('many:')
    await add('long', 60_000)
    const nowAt = Date.now()
    const clock = { ...systemClock, now: () => nowAt - 10_000 } // what it enters has expired long since
    const past = new RedisLedger({ store: storeAt(0, keys), clock })
    for (let n = 0; n < 250; n++) await past.add('acme', `${n}`, 10, nowAt - 5_000, 10_000)
    assert.deepEqual(await ledger.add('acme', 'next', 10, nowAt + 60_000, 20), [])
    await ledger.total('acme')
    assert.equal(await ledger.total('acme'), 20)
  })
})
