import { after, before, describe, type TestContext } from 'node:test'
import { startRedis, type TestRedis } from '../../test/support/redis.ts'
import { RedisStore } from '../kernel/redis/store.ts'
import { schedulerContract } from './scheduler.contract.ts'
import { RedisScheduler } from './scheduler.redis.ts'

describe('on a real Redis', () => {
  let server: TestRedis
  let opened = 0
  before(async () => {
    server = await startRedis()
  })
  after(() => server[Symbol.asyncDispose]())

  /** A gateway process of its own, with keys of its own, which hears pushes. */
  const connect = async (t: TestContext): Promise<RedisStore> => {
    const store = new RedisStore({ url: server.url, keyPrefix: `case${++opened}:`, commandTimeoutMs: 2_000 })
    t.after(() => store[Symbol.asyncDispose]())
    const hears = Promise.withResolvers<void>()
    const stop = store.bus.onGap(hears.resolve) // the first subscription is told as the end of a gap
    await Promise.all([store.firstContact(2_000), hears.promise])
    stop()
    return store
  }

  schedulerContract('Redis', async (clock, t) => {
    const store = await connect(t)
    const scheduler = new RedisScheduler({ store, nowAt: () => clock.now() })
    t.after(() => scheduler.close())
    return { scheduler, process: store.process }
  })
})
