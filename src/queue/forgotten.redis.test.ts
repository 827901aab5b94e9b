import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { startRedis } from '../../test/support/redis.ts'
import { ManualClock } from '../kernel/clock.manual.ts'
import { RedisStore } from '../kernel/redis/store.ts'
import { RedisScheduler } from './scheduler.redis.ts'
import type { ClaimWish, JobOrder } from './scheduler.ts'

const LIMITS = { weight: 1, hard: 10, soft: 10, maxQueue: 100, paused: false }
const OPEN = { rate: null, shadow: { rate: false, queue: false } }
const WISH: ClaimWish = { process: 'p', want: 1, upstreams: [{ name: 'db', width: 100, allow: 9, avoid: [] }] }
const ORDER: JobOrder = {
  ...{ id: 'job_1', tenant: 'ann', upstream: 'db', route: 'r', class: 'default', width: 100, principal: 'p' },
  ...{ payload: Buffer.from('{}'), keepsPayload: true, queueMs: 60_000, keepMs: 60_000, replicated: false },
  idempotency: { key: 'k', fingerprint: 'f' },
}

test('a job that ended while no gateway was left to forget it is forgotten wholly by the next one', async (t) => {
  await using redis = await startRedis()
  const clock = new ManualClock()
  await using store = new RedisStore({ url: redis.url, keyPrefix: 'left:', commandTimeoutMs: 2_000 })
  await store.firstContact(2_000)
  const scheduler = new RedisScheduler({ store, nowAt: () => clock.now() })
  t.after(() => scheduler.close())
  assert.equal((await scheduler.submit(ORDER, LIMITS, OPEN)).kind, 'queued')
  const [claimed] = (await scheduler.claim(WISH)).claimed
  const ending = { how: 'failed', error: '{"code":"X"}', result: Buffer.from('no') } as const
  await scheduler.finish({ id: 'job_1', tenant: 'ann', fence: claimed!.fence, ending, servedMs: 1 }, WISH)

  for (const key of (await redis.command('KEYS', '*')) as string[]) {
    if (Number(await redis.command('PTTL', key)) > 0) await redis.command('PEXPIRE', key, 1) // the night goes by
  }
  await pause(50)
  await clock.advance(86_400_000)
  const { forgotten } = await scheduler.tick(WISH)
  assert.deepEqual(
    forgotten.map(({ id }) => id),
    ['job_1'],
  )
  const left = (await redis.command('KEYS', 'left:*')) as string[]
  assert.deepEqual(left, ['left:{t0}:q:mark:db'], 'nothing but the mark for workers, one per upstream')
  assert.equal(
    (await scheduler.submit({ ...ORDER, id: 'job_2' }, LIMITS, OPEN)).kind,
    'queued',
    'its key is free again',
  )
})
