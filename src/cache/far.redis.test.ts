// One file though it is long: its two servers are started once.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Redis } from 'ioredis'
import { startRedis, type TestRedis } from '../../test/support/redis.ts'
import { ManualClock } from '../kernel/clock.manual.ts'
import { randomToken } from '../kernel/digest.ts'
import { StoreUnavailable } from '../kernel/errors.ts'
import { type KeySpace, keySpace } from '../kernel/redis/keys.ts'
import { RedisStore } from '../kernel/redis/store.ts'
import { sampleEntry, samplePlace } from './entry.sample.ts'
import type { Entry, Place } from './entry.ts'
import { farContract } from './far.contract.ts'
import { LEDGER_ROOM, UNIT_BYTES } from './far.keys.ts'
import { RedisFar } from './far.redis.ts'

const ROOMY = { maxTenantBytes: 1e9 }

let server: TestRedis
/** With 16 shards, on a server in cluster mode: it refuses commands and scripts whose keys lie in several slots. */
let cluster: TestRedis
const stores: RedisStore[] = []

before(async () => {
  server = await startRedis()
  cluster = await startRedis('--cluster-enabled', 'yes')
  const raw = new Redis(cluster.url)
  await raw.cluster('ADDSLOTSRANGE', 0, 16_383)
  while (!(await raw.cluster('INFO')).includes('cluster_state:ok')) await new Promise((go) => setTimeout(go, 20))
  raw.disconnect()
  for (const { url } of [server, cluster]) stores.push(await connect(url))
})

after(async () => {
  for (const store of stores) await store[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
  await cluster[Symbol.asyncDispose]()
})

async function connect(url: string): Promise<RedisStore> {
  const store = new RedisStore({ url, keyPrefix: 'sluice:', commandTimeoutMs: 5_000 })
  await store.firstContact(5_000)
  return store
}

/** A key space of its own on a shared server, so that cases do not meet. */
function open(store: RedisStore, shards: number, fenceMs = 60_000) {
  const keys: KeySpace = { ...keySpace(`${randomToken()}:`, shards), channel: store.keys.channel }
  const clock = new ManualClock(Date.now())
  const run = <T>(op: string, work: Parameters<typeof store.run<T>>[1]) => store.run(op, work)
  const runBulk = <T>(op: string, work: Parameters<typeof store.runBulk<T>>[1]) => store.runBulk(op, work)
  const far = new RedisFar({ store: { keys, run, runBulk }, clock, fenceMs })
  return { far, bus: store.bus, clock, settle: () => far.flush(), keys }
}

farContract('Redis', () => open(stores[0]!, 1))
farContract('Redis in cluster mode', () => open(stores[1]!, 16))

describe('Redis far tier', () => {
  const setup = (fenceMs?: number) => {
    const { far, clock, keys, settle } = open(stores[0]!, 1, fenceMs)
    const redis = new Redis(server.url)
    const store = async (place: Place, changes: Partial<Entry> = {}, bounds = ROOMY) => {
      const { ticket } = await far.begin(place, randomToken())
      return far.fill(place, sampleEntry({ storedAt: clock.now(), ...changes }), ticket, bounds)
    }
    const all = async () => (await redis.keys(`${keys.prefix}*`)).map((key) => key.slice(keys.prefix.length)).sort()
    return { far, clock, keys, settle, redis, store, all, [Symbol.dispose]: () => redis.disconnect() }
  }
  const brief = { ttlMs: 40, staleMs: 0, errorMs: 10 }
  const until = async (isSo: () => Promise<boolean>) => {
    while (!(await isSo())) await new Promise((go) => setTimeout(go, 10))
  }

  for (const generation of ['global', 'tenant', 'tag'] as const) {
    test(`an evicted ${generation} generation makes its entries misses for good, and refuses a fill that began before`, async () => {
      using t = setup()
      const place = samplePlace({ tags: ['a'] })
      await t.store(place)
      const { ticket } = await t.far.begin(place, 'late')
      const parts = { global: [], tenant: [place.tenant], tag: [place.tenant, 'a'] }[generation]
      assert.equal(await t.redis.del(t.keys.of(place.tenant, 'generation', ...parts)), 1)
      assert.equal(await t.far.read(place), null)
      assert.equal(await t.far.fill(place, sampleEntry(), ticket, ROOMY), 'purged')
      assert.equal((await t.far.begin(place, 'next')).found, null) // the new generation is another one
    })
  }

  test('an evicted entry or fence is a miss or a refusal', async () => {
    using t = setup()
    const place = samplePlace()
    await t.store(place)
    await t.redis.del(t.keys.of(place.tenant, 'entry', place.key))
    assert.equal(await t.far.read(place), null)
    const { ticket } = await t.far.begin(place, 'token')
    await t.redis.del(t.keys.of(place.tenant, 'fence', place.key))
    assert.equal(await t.far.fill(place, sampleEntry(), ticket, ROOMY), 'lost')
  })

  test('keys of a wrong type are misses, and are replaced', async () => {
    using t = setup()
    const place = samplePlace({ tags: ['a'] })
    const { tenant, key } = place
    const wrong = [
      ...[['entry', key], ['fence', key], ['generation'], ['generation', tenant], ['generation', tenant, 'a']],
      ...[
        ['recent', tenant],
        ['expiring', tenant],
        ['sizes', tenant],
      ],
    ].map((parts) => t.keys.of(tenant, ...parts))
    for (const name of wrong) await t.redis.rpush(name, 'nonsense')
    assert.equal(await t.far.read(place), null)
    await t.far.rearm(place, sampleEntry())
    assert.equal(await t.store(place), 'stored')
    assert.equal((await t.far.read(place))?.kind, 'entry')
    await t.settle()
    assert.equal(t.far.stats().events['touches-failed'], 0)
  })

  for (const [what, change] of [
    ['garbage', () => Buffer.from('garbage')],
    ['nothing', () => Buffer.alloc(0)],
    ['cut short', (value: Buffer) => value.subarray(0, -1)],
    ['longer', (value: Buffer) => Buffer.concat([value, value])],
    ['changed', (value: Buffer) => Buffer.concat([value.subarray(0, -1), Buffer.from([value.at(-1)! ^ 1])])],
  ] as const) {
    test(`a value that is ${what} is a miss, and is counted`, async () => {
      using t = setup()
      const place = samplePlace()
      await t.store(place)
      const name = t.keys.of(place.tenant, 'entry', place.key)
      await t.redis.set(name, change((await t.redis.getBuffer(name))!))
      assert.equal(await t.far.read(place), null)
      assert.equal(t.far.stats().events.garbage, 1)
      assert.equal(await t.store(place), 'stored')
      assert.equal((await t.far.read(place))?.kind, 'entry')
    })
  }

  test('another key’s value is a miss', async () => {
    using t = setup()
    const [a, b] = [samplePlace({ tenant: 'x' }), samplePlace({ tenant: 'x' })]
    await t.store(a)
    await t.redis.copy(t.keys.of('x', 'entry', a.key), t.keys.of('x', 'entry', b.key))
    assert.equal(await t.far.read(b), null)
    assert.equal(t.far.stats().events.garbage, 1)
  })

  test('books of which a part was evicted are begun anew', async () => {
    for (const part of ['recent', 'ledger', 'total']) {
      using t = setup()
      const places = Array.from({ length: 4 }, () => samplePlace({ tenant: 'x' }))
      for (const place of places.slice(0, 3)) await t.store(place)
      await t.redis.del(t.keys.of('x', part, 'x'))
      assert.equal(await t.store(places[3]!), 'stored')
      for (const place of places) assert.equal((await t.far.read(place))?.kind, 'entry')
      assert.equal(await t.redis.zcard(t.keys.of('x', 'recent', 'x')), 1)
      assert.equal(await t.redis.zcard(t.keys.of('x', 'ledger', 'x')), 1)
      assert.ok(Number(await t.redis.get(t.keys.of('x', 'total', 'x'))) < 20)
    }
  })

  test('when everything has expired nothing is left behind', async () => {
    using t = setup(30)
    for (const tags of [[], ['a'], ['b', 'c']]) await t.store(samplePlace({ tenant: 'x', tags }), brief)
    await t.far.begin(samplePlace(), 'a leader that never fills')
    await t.far.purge({ tenant: 'x', tags: ['b', 'never used'] })
    assert.ok((await t.all()).length > 8)
    await until(async () => (await t.all()).length === 0)
  })

  test('generations and books outlive the entries that bear them', async () => {
    using t = setup(30)
    const [long, short] = [samplePlace({ tenant: 'x', tags: ['a'] }), samplePlace({ tenant: 'x', tags: ['a'] })]
    await t.store(long)
    await t.store(short, brief)
    const endsAt = await t.redis.pexpiretime(t.keys.of('x', 'entry', long.key))
    const rest = (await t.all()).filter((key) => !key.includes(':entry:'))
    assert.equal(rest.length, 7) // three books; the generations: global, tenant, the tag of the tenant and of everybody
    for (const key of rest) assert.ok((await t.redis.pexpiretime(`${t.keys.prefix}${key}`)) >= endsAt, key)
  })

  test('what has expired no longer counts against the budget', async () => {
    using t = setup()
    const bounds = { maxTenantBytes: 12_000 }
    const places = Array.from({ length: 6 }, () => samplePlace({ tenant: 'x' })) as [Place, ...Place[]]
    const [first, a, b, ...later] = places
    await t.store(first, { body: Buffer.alloc(2_000) }, bounds) // the least recently used, and the books live as long as it
    for (const place of [a!, b!]) await t.store(place, { ...brief, body: Buffer.alloc(2_000) }, bounds)
    const endsAt = Math.ceil(Date.now() / 1_000 + 0.05) * 1_000 // the books have whole seconds
    await until(async () => Date.now() >= endsAt)
    for (const place of later) await t.store(place, { body: Buffer.alloc(2_000) }, bounds)
    for (const place of [first, ...later]) assert.equal((await t.far.read(place))?.kind, 'entry')
    assert.equal(t.far.stats().events.evicted, 0)
    assert.equal(await t.redis.zcard(t.keys.of('x', 'recent', 'x')), 4)
  })

  test('a leader who begins has as long as its fence before a generation ends', async () => {
    using t = setup()
    const place = samplePlace({ tags: ['a'] })
    await t.store(place)
    const generation = t.keys.of(place.tenant, 'generation', place.tenant, 'a')
    await t.redis.pexpire(generation, 1_000)
    await t.far.begin(place, 'token')
    assert.ok((await t.redis.pttl(generation)) > 50_000)
  })

  test('the books add up to what is held', async () => {
    using t = setup()
    const bounds = { maxTenantBytes: 30_000 }
    for (let i = 0; i < 60; i++) {
      const place = samplePlace({ tenant: 'x', key: `key-${i % 25}` })
      await t.store(place, { body: Buffer.alloc((i * 997) % 3_000) }, bounds)
      await t.clock.advance(1)
    }
    const ledger = await t.redis.zrangebyscore(t.keys.of('x', 'ledger', 'x'), '-inf', '+inf', 'WITHSCORES')
    const units = ledger.filter((_, i) => i % 2 === 1).map((score) => Number(score) % LEDGER_ROOM)
    const sum = units.reduce((all, one) => all + one, 0)
    assert.equal(Number(await t.redis.get(t.keys.of('x', 'total', 'x'))), sum)
    assert.ok(sum * UNIT_BYTES <= 30_000 && sum * UNIT_BYTES > 20_000)
    const held = (await t.all()).filter((key) => key.includes(':entry:')).length
    assert.equal(held, units.length)
  })

  test('tells Redis of reads in one go about once a second, and never brings a dropped entry back into the books', async () => {
    using t = setup()
    const [a, gone] = [samplePlace({ tenant: 'x' }), samplePlace({ tenant: 'x' })]
    for (const place of [a, gone]) await t.store(place)
    for (let i = 0; i < 3; i++) for (const place of [a, gone]) await t.far.read(place)
    const recent = t.keys.of('x', 'recent', 'x')
    const before = await t.redis.zscore(recent, a.key)
    await t.redis.zrem(recent, gone.key)
    assert.equal(t.clock.sleeping, 1)
    await t.clock.advance(1_000)
    await until(async () => (await t.redis.zscore(recent, a.key)) !== before)
    assert.equal(await t.redis.zscore(recent, gone.key), null)
    await t.far.close()
  })

  test('a read-only replica, a server that is gone and one that does not answer are StoreUnavailable', async () => {
    await using own = await startRedis()
    await using store = new RedisStore({ url: own.url, keyPrefix: 's:', commandTimeoutMs: 100 })
    await store.firstContact(5_000)
    const far = new RedisFar({ store, clock: new ManualClock() })
    const place = samplePlace()
    const { ticket } = await far.begin(place, 'token')
    const raw = new Redis(own.url)
    await raw.replicaof('127.0.0.1', 1)
    await raw.config('SET', 'replica-read-only', 'yes')
    assert.equal(await far.read(place), null)
    await assert.rejects(far.fill(place, sampleEntry(), ticket, ROOMY), StoreUnavailable)
    await assert.rejects(far.begin(place, 'token'), StoreUnavailable)
    await assert.rejects(far.purge({ all: true }), StoreUnavailable)
    raw.disconnect()
    own.pause()
    await assert.rejects(far.read(place), StoreUnavailable)
    own.resume()
    await own.kill()
    await assert.rejects(far.read(place), StoreUnavailable)
    await far.flush()
    await far.close()
  })
})
