import { systemClock } from '../../src/kernel/clock.ts'
import { RedisStore } from '../../src/kernel/redis/store.ts'
import { RedisScheduler } from '../../src/queue/scheduler.redis.ts'
import type { ClaimWish, Door, JobOrder, TenantLimits } from '../../src/queue/scheduler.ts'
import { Pool } from '../../src/workers/pool.ts'
import type { QueueSide } from './side.ts'

const LIMITS: TenantLimits = { weight: 1, hard: 1_000, soft: 1_000, maxQueue: 1_000_000, paused: false }
const RESULT = Buffer.from('{"ok":true}')
const OPEN: Door = { rate: null, shadow: { rate: false, queue: false } }
const UPSTREAM = { name: 'main', width: 1_000_000, allow: 1_000_000, avoid: [] }

/** Our scheduler and pool as the gateway has them, without the gateway: a job is a payload, its work a function. */
export async function openOurs(
  url: string,
  concurrency: number,
  tenants = 100,
  resultOf: (n: number) => Buffer = () => RESULT,
): Promise<QueueSide> {
  const store = new RedisStore({ url, keyPrefix: 'bench:', commandTimeoutMs: 10_000 })
  await store.firstContact(5_000)
  const scheduler = new RedisScheduler({ store })
  const wish = (want: number): ClaimWish => ({ process: store.process, want, upstreams: [UPSTREAM] })
  let made = 0
  let pool: Pool | undefined
  return {
    name: 'sluice',
    async add(payload) {
      const n = made++
      const order: JobOrder = {
        ...{ id: `job_${String(n).padStart(26, '0')}`, tenant: `t${n % tenants}`, upstream: 'main', route: 'query' },
        ...{
          class: 'default',
          width: UPSTREAM.width,
          principal: 'p',
          payload,
          keepsPayload: false,
          queueMs: 3_600_000,
        },
        ...{ keepMs: 600_000, idempotency: null, replicated: false },
      }
      const told = await scheduler.submit(order, LIMITS, OPEN)
      if (told.kind !== 'queued') throw new Error(`a job was not taken: ${told.kind}`)
    },
    async work(done) {
      pool = new Pool({
        ...{ scheduler, clock: systemClock, concurrency: () => concurrency, wish },
        run: async ({ claimed }) => ({
          ending: { how: 'succeeded', result: resultOf(Number(claimed.id.slice(4))) },
          servedMs: 1,
          settled: () => done(claimed.payload),
        }),
        onGiven: () => {},
        onEnd: () => {},
      })
      pool.start()
    },
    async close() {
      await pool?.drain(1_000)
      await scheduler.close()
      await store[Symbol.asyncDispose]()
    },
  }
}
