import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import { startRedis, type TestRedis } from '../../test/support/redis.ts'
import { until } from '../../test/support/until.ts'
import { StoreUnavailable } from '../kernel/errors.ts'
import { RedisStore } from '../kernel/redis/store.ts'
import { RedisScheduler } from './scheduler.redis.ts'
import type { ClaimWish, JobOrder, TenantLimits } from './scheduler.ts'

const LIMITS: TenantLimits = { weight: 1, hard: 10, soft: 10, maxQueue: 100, paused: false }
const OPEN = { rate: null, shadow: { rate: false, queue: false } }
const WISH: ClaimWish = { process: 'p', want: 9, upstreams: [{ name: 'db', width: 100, allow: 9, avoid: [] }] }

describe('a job that must be on a replica', { timeout: 30_000 }, () => {
  let master: TestRedis
  let replica: TestRedis
  let opened = 0
  before(async () => {
    master = await startRedis('--repl-diskless-sync-delay', '0')
    replica = await startRedis('--repl-diskless-sync-delay', '0')
  })
  after(async () => {
    await master[Symbol.asyncDispose]()
    await replica[Symbol.asyncDispose]()
  })

  const follow = async () => {
    await replica.command('REPLICAOF', '127.0.0.1', master.port)
    await until(async () => ((await replica.command('ROLE')) as string[])[3] === 'connected', 'the replication')
  }
  const stray = () => replica.command('REPLICAOF', 'NO', 'ONE')

  const setup = async (t: TestContext) => {
    const store = new RedisStore({ url: master.url, keyPrefix: `case${++opened}:`, commandTimeoutMs: 2_000 })
    t.after(() => store[Symbol.asyncDispose]())
    await store.firstContact(2_000)
    const scheduler = new RedisScheduler({ store })
    t.after(() => scheduler.close())
    let made = 0
    const order = (idempotency: JobOrder['idempotency'] = null): JobOrder => ({
      ...{ id: `job_${++made}`, tenant: 'ann', upstream: 'db', route: 'r', class: 'default', width: 100 },
      ...{ principal: 'p', payload: Buffer.from('{}'), keepsPayload: true, queueMs: 60_000, keepMs: 60_000 },
      ...{ idempotency, replicated: true },
    })
    const submit = (some = order()) => scheduler.submit(some, LIMITS, OPEN)
    const keys = async () => ((await master.command('KEYS', `case${opened}:*`)) as string[]).map((key) => key.slice(10))
    return { scheduler, order, submit, keys }
  }
  const KEY = { key: 'k', fingerprint: 'f' }

  test('is accepted once a replica has it', async (t) => {
    await follow()
    const { submit } = await setup(t)
    const told = await Promise.all(Array.from({ length: 20 }, () => submit()))
    assert.ok(told.every(({ kind }) => kind === 'queued'))
    const copied = (await replica.command('KEYS', `case${opened}:*:job:*`)) as string[]
    assert.equal(copied.length, 20)
  })

  test('is refused without one, and leaves nothing: its Idempotency-Key is free again', async (t) => {
    await stray()
    const { submit, order, keys, scheduler } = await setup(t)
    await assert.rejects(submit(order(KEY)), StoreUnavailable)
    assert.deepEqual(
      (await keys()).filter((key) => /:(job|pay|idem|list|line|wait|due|ready)/.test(key)),
      [],
    )
    assert.deepEqual((await scheduler.claim(WISH)).claimed, [])
    await follow()
    const again = await submit(order(KEY))
    assert.ok(again.kind === 'queued')
    assert.equal(again.record.id, 'job_2')
  })

  test('that was begun before it was refused is not begun twice: a repeat is told of it, once a replica has it', async (t) => {
    await stray()
    const { submit, order, scheduler } = await setup(t)
    const refused = assert.rejects(submit(order(KEY)), StoreUnavailable)
    await until(async () => (await scheduler.claim(WISH)).claimed.length === 1, 'a worker that takes it')
    await refused
    await assert.rejects(submit(order(KEY)), StoreUnavailable)
    await follow()
    assert.deepEqual(await submit(order(KEY)), { kind: 'repeat', id: 'job_1' })
    assert.equal((await scheduler.look('ann', 'job_1'))?.status, 'running')
  })

  test('that a cached answer ended at once is refused without one, and forgotten', async (t) => {
    await stray()
    const { order, scheduler } = await setup(t)
    await assert.rejects(scheduler.record(order(), Buffer.from('rows')), StoreUnavailable)
    assert.equal(await scheduler.look('ann', 'job_1'), null)
  })

  test('holds up nobody else while a replica is waited for', async (t) => {
    await stray()
    const { submit, scheduler } = await setup(t)
    const refused = Promise.allSettled(Array.from({ length: 20 }, () => submit()))
    const startedAt = performance.now()
    for (let n = 0; n < 10; n++) await scheduler.look('ann', 'job_1')
    assert.ok(performance.now() - startedAt < 500)
    assert.deepEqual([...new Set((await refused).map(({ status }) => status))], ['rejected'])
    assert.ok(performance.now() - startedAt < 5_000, 'and all who wait are told together')
  })
})
