/** For the tests of the job API: a house with nothing in it but what jobs need, and people who ask. */
import { mkdtempSync, rmSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { ManualClock } from '../kernel/clock.manual.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Caller } from '../kernel/exchange.ts'
import { ulid } from '../kernel/ids.ts'
import { MemoryLimiter } from '../limits/limiter.memory.ts'
import type { Limit } from '../limits/limiter.ts'
import { MemoryScheduler } from '../queue/scheduler.memory.ts'
import type { ClaimWish, Ending, JobOrder, Push, TenantLimits } from '../queue/scheduler.ts'
import { Watches } from '../queue/watches.ts'
import { MemoryLedger } from '../results/ledger.memory.ts'
import { Results, type WriterFor } from '../results/results.ts'
import { FileSpill } from '../results/spill.file.ts'
import { encodeStored, type Stored } from '../results/stored.ts'
import { TenantLabels } from '../telemetry/labels.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { principalDigest } from './document.ts'
import type { House } from './house.ts'
import type { TenantPolicy } from './policy.ts'

export const NO_WISH: ClaimWish = { process: 'worker', want: 0, upstreams: [] }
const WISH: ClaimWish = {
  process: 'worker',
  want: 1,
  upstreams: [{ name: 'main', width: 10, allow: 10, avoid: [] }],
}
const LIMITS: TenantLimits = { weight: 1, hard: 4, soft: 4, maxQueue: 100, paused: false }
const DOOR = { rate: null, shadow: { rate: false, queue: false } }

/** `acme ana`, or `acme` for a token that names nobody: what the authorization of these tests is. */
export function callerOf(as: string): Caller {
  const [tenant = '', principal = null] = as.split(' ')
  return { tenant, principal, scopeDigest: '', issuer: 'main', expiresAt: null }
}

export function jobHouse<C extends Clock = ManualClock>(clock: C = new ManualClock() as never) {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-jobs-'))
  const scheduler = new MemoryScheduler({ clock })
  const heard = new Set<(push: Push) => void>()
  const onPush = scheduler.onPush.bind(scheduler)
  scheduler.onPush = (hear) => {
    heard.add(hear)
    return onPush(hear)
  }
  /** As a push does that says nothing new. */
  const wake = (job: string) => {
    for (const hear of heard) hear({ kind: 'changed', job })
  }
  const watches = new Watches({ scheduler, process: 'p1', clock })
  const results = new Results({
    spill: new FileSpill({ dir }),
    ledger: new MemoryLedger({ clock }),
    clock,
    spillAboveBytes: 10_000,
  })
  const tenants: Record<string, Partial<TenantPolicy>> = { acme: {}, globex: {}, sleepy: { paused: true } }
  const limiter = new MemoryLimiter({ clock })
  const house = {
    policy: {
      tenancy: {
        identify: ({ authorization: as }: IncomingHttpHeaders) => (as === undefined ? null : callerOf(as)),
      },
      fallback: { auth: 'none' },
      tenant: (name: string) => tenants[name] && { name, paused: false, ingress: null, shadow: [], ...tenants[name] },
    },
    scheduler,
    watches,
    results,
    clock,
    slots: { wish: () => NO_WISH },
    ingress: { tryTake: (tenant: string, limit: Limit) => limiter.take(tenant, 'ingress', limit) },
    metrics: createMetrics(new Registry()),
    tenantLabels: new TenantLabels(10),
  } as unknown as House

  const submit = async (as = 'acme ana', changes: Partial<JobOrder> = {}): Promise<string> => {
    const id = `job_${ulid(clock.now(), Math.random)}`
    const caller = callerOf(as)
    const order: JobOrder = {
      ...{ id, tenant: caller.tenant, upstream: 'main', route: 'query', class: 'default', width: 10 },
      ...{ principal: principalDigest(caller), payload: Buffer.from('secret payload'), keepsPayload: false },
      ...{ queueMs: 30_000, keepMs: 3_600_000, idempotency: null, replicated: false, ...changes },
    }
    await scheduler.submit(order, { ...LIMITS }, DOOR)
    return id
  }
  /** The worker takes the next job. */
  const claim = async () => (await scheduler.claim(WISH)).claimed[0]!
  const finish = async (ending: Ending, { id, tenant, fence } = { id: '', tenant: '', fence: 0 }) =>
    scheduler.finish({ id, tenant, fence, ending, servedMs: 10 }, NO_WISH)
  const store = async (
    body: Buffer,
    { id, tenant }: { id: string; tenant: string },
    changes: Partial<WriterFor> = {},
  ): Promise<Stored> => {
    const head = { status: 200, headers: ['content-type', 'text/csv'] }
    const writer = results.writer({ tenant, id, fence: 1, ttlMs: 3_600_000, maxBytes: 1e9, ...head, ...changes })
    await writer.write(body)
    return writer.end()
  }
  /** Submitted, run and answered. */
  const succeed = async (body: Buffer, changes: Partial<WriterFor> = {}) => {
    const id = await submit()
    const job = await claim()
    const stored = await store(body, job, changes)
    await finish({ how: 'succeeded', result: encodeStored(stored) }, job)
    return { id, stored }
  }
  const close = () => {
    watches.close()
    rmSync(dir, { recursive: true })
  }
  return { clock, dir, house, tenants, scheduler, wake, submit, claim, finish, store, succeed, close }
}

export type JobHouse = ReturnType<typeof jobHouse<ManualClock>>
