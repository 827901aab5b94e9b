import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { startRedis, type TestRedis } from '../../../test/support/redis.ts'
import { ManualClock } from '../clock.manual.ts'
import { Census } from './census.ts'
import { RedisStore } from './store.ts'

let redis: TestRedis
before(async () => {
  redis = await startRedis()
})
after(() => redis[Symbol.asyncDispose]())

let cases = 0

/** Processes of one gateway; each case counts under a prefix of its own. */
async function setup(t: { after: (fn: () => Promise<void>) => void }, { deadAfterMs = 15_000 } = {}) {
  const store = new RedisStore({ url: redis.url, keyPrefix: `census${cases++}:`, commandTimeoutMs: 50 })
  t.after(() => store[Symbol.asyncDispose]())
  await store.firstContact(2_000)
  const clock = new ManualClock()
  const open = () => {
    const census = new Census({ store, clock, deadAfterMs })
    t.after(() => census.close())
    return census
  }
  return { store, clock, open }
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await wait(1)
}

test('before it has counted, the number is not known', async (t) => {
  const { open } = await setup(t)
  const census = open()
  assert.equal(census.size, 0)
  await census.beat()
  assert.equal(census.size, 1)
})

test('everyone who beats is counted once', async (t) => {
  const { open } = await setup(t)
  const all = [open(), open(), open()]
  for (const census of [...all, ...all]) await census.beat()
  assert.deepEqual(
    all.map((census) => census.size),
    [3, 3, 3],
  )
})

test('it beats by itself, every ten seconds', async (t) => {
  const { open, clock } = await setup(t)
  const [first, second] = [open(), open()]
  await first.beat()
  await second.beat()
  await second.close()
  assert.equal(first.size, 2)
  await until(() => clock.sleeping > 0) // its own first beat is on its way
  await clock.advance(10_000)
  await until(() => first.size === 1)
})

test('who closes takes itself out at once, and may close twice', async (t) => {
  const { open } = await setup(t)
  const [stays, goes] = [open(), open()]
  await goes.beat()
  await goes.close()
  await goes.close()
  await stays.beat()
  assert.equal(stays.size, 1)
})

test('who is not heard of any more is not counted, and is removed', async (t) => {
  const { open, store } = await setup(t, { deadAfterMs: 150 })
  const [stays, falls] = [open(), open()]
  await falls.beat()
  await stays.beat()
  assert.equal(stays.size, 2)
  await wait(160)
  await stays.beat()
  assert.equal(stays.size, 1)
  const [key] = store.keys.everyShard('census')
  assert.equal(await store.run('test', (client) => client.zcard(key!)), 1)
})

test('an outage changes nothing: the last count stands', async (t) => {
  const { open } = await setup(t)
  const [census, other] = [open(), open()]
  await other.beat()
  await census.beat()
  redis.pause()
  await census.beat()
  redis.resume()
  assert.equal(census.size, 2)
})
