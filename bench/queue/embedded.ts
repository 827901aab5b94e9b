import { join } from 'node:path'
import { systemClock } from '../../src/kernel/clock.ts'
import { SqliteScheduler } from '../../src/queue/scheduler.sqlite.ts'
import type { ClaimWish, Door, JobOrder, TenantLimits } from '../../src/queue/scheduler.ts'
import { scratch } from '../children.ts'

const LIMITS: TenantLimits = { weight: 1, hard: 1_000, soft: 1_000, maxQueue: 1_000_000, paused: false }
const OPEN: Door = { rate: null, shadow: { rate: false, queue: false } }
const WISH: ClaimWish = {
  ...{ process: 'bench', want: 1 },
  upstreams: [{ name: 'main', width: 1_000_000, allow: 1_000_000, avoid: [] }],
}
const IN_FLIGHT = 50

/** Submissions, and ends fused with the next claim, per second of the embedded store: jobs of 100 tenants in SQLite. */
export async function embeddedRates(
  synchronous: 'full' | 'normal',
  count: number,
): Promise<{ submits: number; claims: number }> {
  const file = join(scratch(`embedded-${synchronous}`), 'jobs.sqlite')
  const scheduler = new SqliteScheduler({ clock: systemClock, file, synchronous, limitsOf: () => LIMITS })
  try {
    const submits = await perSecond(count, (n) => scheduler.submit(orderOf(n), LIMITS, OPEN))
    const given = await scheduler.claim({ ...WISH, want: IN_FLIGHT })
    const held = given.claimed
    const claims = await perSecond(count - IN_FLIGHT, async () => {
      const { id, tenant, fence } = held.pop()!
      const ending = { how: 'succeeded' as const, result: Buffer.from('{}') }
      held.push(...(await scheduler.finish({ id, tenant, fence, ending, servedMs: 1 }, WISH)).claimed)
    })
    return { submits, claims }
  } finally {
    await scheduler.close()
  }
}

async function perSecond(count: number, work: (n: number) => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  let next = 0
  const worker = async () => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker))
  return count / ((performance.now() - startedAt) / 1_000)
}

const orderOf = (n: number): JobOrder => ({
  ...{ id: `job_${String(n).padStart(26, '0')}`, tenant: `t${n % 100}`, upstream: 'main', route: 'query' },
  ...{ class: 'default', width: 1_000_000, principal: 'p', payload: Buffer.alloc(300, 'x'), keepsPayload: false },
  ...{ queueMs: 3_600_000, keepMs: 600_000, idempotency: null, replicated: false },
})
