import { z } from 'zod'
import { Refusal } from '../kernel/errors.ts'
import type { JobRecord, JobStatus, Scheduler } from '../queue/scheduler.ts'
import { hasEnded, type JobDocument, jobDocument } from '../request/document.ts'
import type { House } from '../request/house.ts'
import { isJobId } from '../request/jobs.list.ts'
import { dropResult } from '../request/keep.ts'
import { type AdminCall, limitUpTo, type Operation, queryOf, TenantName } from './calls.ts'

const STATUSES = ['queued', 'running', 'succeeded', 'failed', 'cancelled', 'expired'] as const satisfies JobStatus[]
const MAX_LIMIT = 1_000
/** Pages of the scheduler that are read for one answer: some five thousand jobs. */
const MAX_PAGES = 100
/** Poisoned jobs that are looked through. */
const MAX_DEAD = 1_000

const ListInput = z.strictObject({
  tenant: TenantName.optional(),
  status: z.enum(STATUSES).optional(),
  limit: limitUpTo(MAX_LIMIT, 100),
  cursor: z
    .string()
    .transform((text) => Buffer.from(text, 'base64url').toString('latin1'))
    .pipe(z.string().regex(/^\d+(\.\d+)?( job_[0-9A-HJKMNP-TV-Z]{26})?$/, 'is none'))
    .optional(),
  dead: z.enum(['true', 'false']).optional(),
})
const LIST_ALLOWED =
  `tenant; status: ${STATUSES.join(', ')}; limit: 1 to ${MAX_LIMIT}; cursor: the nextCursor of the page before; ` +
  'dead: true, for poisoned ones, newest first, without status and cursor'

const FindInput = z.strictObject({ tenant: TenantName.optional() })

/** A job as an operator sees it: as its owner does, and where it belongs. Never its payload or result. */
export type OperatorDocument = JobDocument & {
  upstream: string
  /** Workers that were lost while they ran it. */
  lost: number
}

const documentOf = (record: JobRecord): OperatorDocument => ({
  ...jobDocument(record),
  upstream: record.upstream,
  lost: record.lost,
})

export function jobOperations(house: House): Record<string, Operation> {
  return {
    'GET /admin/v1/jobs': (call) => listJobs(call, house.scheduler),
    'GET /admin/v1/jobs/:id': async (call) => documentOf(await find(call, house)),
    'POST /admin/v1/jobs/:id/cancel': async (call) => cancel(await find(call, house), house),
    'POST /admin/v1/jobs/:id/retry': async (call) => retry(await find(call, house), house),
    'DELETE /admin/v1/jobs/:id': async (call) => drop(await find(call, house), house),
  }
}

interface Page {
  jobs: OperatorDocument[]
  /** Where to go on; null: there are no more. A page may be short, or empty, and have a next one. */
  nextCursor: string | null
}

async function listJobs(call: AdminCall, scheduler: Scheduler): Promise<Page> {
  const { tenant, status, limit, cursor, dead } = queryOf(call, ListInput, LIST_ALLOWED)
  const isWanted = (job: JobRecord) =>
    (tenant === undefined || job.tenant === tenant) && (status === undefined || job.status === status)
  if (dead !== 'true') return pageOf(scheduler, isWanted, limit, cursor)
  if (status !== undefined || cursor !== undefined)
    throw new Refusal('REQUEST_INVALID', { detail: `dead stands with tenant and limit alone (${LIST_ALLOWED})` })
  const found = await scheduler.dead(MAX_DEAD)
  return { jobs: found.filter(isWanted).slice(0, limit).map(documentOf), nextCursor: null }
}

/**
 * The scheduler's pages are in no order: some are read and told of newest first, before any of the next are read. The
 * cursor says from where, and after which job of these to go on.
 */
async function pageOf(
  scheduler: Scheduler,
  isWanted: (job: JobRecord) => boolean,
  limit: number,
  cursor = '0',
): Promise<Page> {
  const [from, after] = cursor.split(' ') as [string, string | undefined]
  const { jobs, next } = await readFrom(scheduler, from)
  const rest = newestFirst(jobs.filter(isWanted)).filter(({ id }) => after === undefined || id < after)
  const told = rest.slice(0, limit)
  const goOn = rest.length > limit ? `${from} ${told.at(-1)!.id}` : next
  return { jobs: told.map(documentOf), nextCursor: goOn && Buffer.from(goOn).toString('base64url') }
}

async function readFrom(scheduler: Scheduler, cursor: string): Promise<{ jobs: JobRecord[]; next: string | null }> {
  const jobs = new Map<string, JobRecord>()
  let at = cursor
  for (let pages = 0; pages < MAX_PAGES; pages++) {
    const page = await scheduler.jobs(at)
    for (const job of page.jobs) jobs.set(job.id, job)
    if (page.cursor === '0') return { jobs: [...jobs.values()], next: null }
    at = page.cursor
  }
  return { jobs: [...jobs.values()], next: at }
}

const newestFirst = (jobs: readonly JobRecord[]) => jobs.toSorted((a, b) => (a.id < b.id ? 1 : -1))

/** In its tenant's place where that is said, else in all of them. */
async function find(call: AdminCall, { scheduler }: House): Promise<JobRecord> {
  const id = call.params.id!
  const { tenant } = queryOf(call, FindInput, 'tenant')
  if (!isJobId(id)) throw missing(`"${id}" is no job's id`)
  const record = tenant === undefined ? await scheduler.find(id) : await scheduler.look(tenant, id)
  if (!record) throw missing(`there is no job ${id}${tenant === undefined ? '' : ` of ${tenant}`}, or not any more`)
  return record
}

const missing = (detail: string) => new Refusal('JOB_NOT_FOUND', { detail })

/** One that has ended stays as it is. */
async function cancel({ tenant, id }: JobRecord, house: House): Promise<OperatorDocument> {
  const done = await house.scheduler.cancel(tenant, id, house.slots.wish(0))
  if (!done) throw missing(`there is no job ${id} any more`)
  if (done.cancelled) {
    house.metrics.jobs.inc({ tenant: house.tenantLabels.of(tenant), status: 'cancelled' })
    house.log.info({ job: id, tenant }, 'an operator has cancelled a job')
  }
  return documentOf(done.record)
}

async function retry({ tenant, id, upstream }: JobRecord, house: House): Promise<OperatorDocument> {
  const { scheduler, policy } = house
  const queueMs = policy.tenant(tenant)?.maxQueueMs ?? policy.config.tenants.default.maxQueueTime
  const width = policy.config.upstreams[upstream]?.maxConcurrentQueries ?? 1
  const result = await scheduler.result(tenant, id) // the upstream's no; it goes with the new try
  const done = await scheduler.retry(tenant, id, queueMs, width)
  if (!done) throw missing(`there is no job ${id} any more`)
  if (!done.retried) throw new Refusal('JOB_NOT_FINISHED', { detail: whyNotAgain(done.record) })
  await dropResult(tenant, id, result, house)
  house.onDue(done.record.deadlineAt)
  house.log.info({ job: id, tenant }, 'an operator has put a job into the line again')
  return documentOf(done.record)
}

function whyNotAgain({ id, status }: JobRecord): string {
  if (status !== 'failed' && status !== 'expired')
    return `${id} is ${status}; what can be run again is a job that failed or expired`
  return `${id} carried its caller's credential, which is kept only until its end; it must be submitted again`
}

async function drop(record: JobRecord, house: House): Promise<{ dropped: string }> {
  const { tenant, id, status } = record
  const dropped = await house.scheduler.drop(tenant, id)
  if (!dropped) {
    const detail = hasEnded(record)
      ? `${id} is ${status}, but its worker has not let go of it yet; it does within 15 s`
      : `${id} is ${status}; cancel it first`
    throw new Refusal('JOB_NOT_FINISHED', { detail })
  }
  await dropResult(tenant, id, dropped.result, house)
  house.log.info({ job: id, tenant }, 'an operator has dropped a job')
  return { dropped: id }
}
