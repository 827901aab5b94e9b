import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { Redis } from 'ioredis'
import { startRedis, type TestRedis } from '../../test/support/redis.ts'
import { until } from '../../test/support/until.ts'
import { randomToken } from '../kernel/digest.ts'
import { StoreUnavailable } from '../kernel/errors.ts'
import { keySpace } from '../kernel/redis/keys.ts'
import { RedisStore } from '../kernel/redis/store.ts'
import { bulkContact, collect, spillContract } from './spill.contract.ts'
import { RedisSpill } from './spill.redis.ts'
import { PART_MS, spillName } from './spill.ts'

let server: TestRedis
let store: RedisStore
let redis: Redis
before(async () => {
  server = await startRedis()
  store = new RedisStore({ url: server.url, keyPrefix: 'sluice:', commandTimeoutMs: 2_000 })
  await store.firstContact(2_000)
  await bulkContact(store)
  redis = new Redis(server.url)
})
after(async () => {
  redis.disconnect()
  await store[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

/** A key space of its own, so that cases do not meet. */
const open = () => {
  const keys = keySpace(`${randomToken()}:`, 1)
  const runBulk = <T>(op: string, work: Parameters<typeof store.runBulk<T>>[1]) => store.runBulk(op, work)
  const names = () => redis.keys(`${keys.prefix}*`)
  return { spill: new RedisSpill({ store: { keys, runBulk } }), names, count: async () => (await names()).length }
}

spillContract('Redis', open)

describe('Redis spill', () => {
  const begin = async () => {
    const { spill, names } = open()
    const name = spillName('job_1', 1)
    const sink = await spill.create('acme', name)
    return { spill, sink, name, key: async () => (await names())[0]!, names }
  }
  const life = (ttlMs: number) => ({ nowAt: Date.now(), ttlMs })

  test('has an end from its first piece on, and its own once it is whole', async () => {
    const { sink, key } = await begin()
    await sink.write(randomBytes(600_000))
    assert.ok((await redis.pttl(await key())) > PART_MS - 60_000)
    await sink.end(life(60_000))
    const leftMs = await redis.pttl(await key())
    assert.ok(leftMs > 50_000 && leftMs <= 60_000, `${leftMs}`)
  })

  test('goes by itself', async () => {
    const { spill, sink, name, names } = await begin()
    await sink.write(Buffer.from('rows'))
    await sink.end(life(30))
    await until(async () => (await names()).length === 0)
    assert.equal(await spill.read('acme', name), null)
  })

  test('a body whose first pieces are gone is a failure, not half a body, and it still has an end', async () => {
    const { sink, key } = await begin()
    await sink.write(randomBytes(300_000))
    await redis.del(await key())
    await assert.rejects(sink.end(life(60_000)), StoreUnavailable)
    assert.ok((await redis.pttl(await key())) > 0)
  })

  test('one that ends while it is read ends early', async () => {
    const { spill, sink, name, key } = await begin()
    await sink.write(randomBytes(600_000))
    await sink.end(life(60_000))
    const pieces = (await spill.read('acme', name))!
    await redis.del(await key())
    assert.equal((await collect(pieces))!.length, 256 * 1024)
  })
})

test('without the store a write fails, and an abort still returns', async (t) => {
  const server = await startRedis()
  t.after(() => server[Symbol.asyncDispose]())
  const store = new RedisStore({ url: server.url, keyPrefix: 'sluice:', commandTimeoutMs: 50 })
  t.after(() => store[Symbol.asyncDispose]())
  await store.firstContact(2_000)
  await bulkContact(store)
  const spill = new RedisSpill({ store })
  const sink = await spill.create('acme', spillName('job_1', 1))
  await sink.write(Buffer.from('rows'))
  await server.kill()
  await assert.rejects(sink.end({ nowAt: Date.now(), ttlMs: 1_000 }), StoreUnavailable)
  await sink.abort()
  await assert.rejects(spill.read('acme', spillName('job_1', 1)), StoreUnavailable)
})
