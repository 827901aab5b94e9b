import { CLASSES } from './policy.ts'
import type { JobOrder, JobRecord, JobStatus, SlotWish } from './scheduler.ts'

interface Standing {
  id: string
  tenant: string
  upstream: string
  route: string
  /** Index into CLASSES. */
  class: number
  /** Its place among its tenant's work; kept for life, so that what is given back stands where it stood. */
  number: number
  submittedAt: number
  /** In a lane now. */
  isLined: boolean
  linedAt: number
  /** Counts against its tenant's and its upstream's concurrency now. */
  isRunning: boolean
  /** What its tenant's virtual time was charged as it started, µs. */
  chargedUs: number
}

export type SlotEntry = Standing & { kind: 'slots'; process: string }

/** What of an order is kept with the job: its payload lies with the blobs, and the rest is for its submission alone. */
export type KeptOrder = Omit<JobOrder, 'payload' | 'width' | 'replicated'>

export function keptOf({ payload: _payload, width: _width, replicated: _replicated, ...kept }: JobOrder): KeptOrder {
  return kept
}

export type JobEntry = Standing & {
  kind: 'jobs'
  order: KeptOrder
  status: JobStatus
  /** A worker holds it: as a rule it runs too, unless it has lent its slot or was cancelled meanwhile. */
  isLeased: boolean
  process: string
  fence: number
  attempt: number
  lost: number
  startedAt: number | null
  finishedAt: number | null
  deadlineAt: number
  keepMs: number
  error: string | null
  revision: number
  watchers: Set<string>
}

export type Entry = SlotEntry | JobEntry

function standing(wish: Omit<SlotWish, 'process' | 'width'>, number: number, nowAt: number): Standing {
  const { id, tenant, upstream, route } = wish
  const place = { isLined: false, linedAt: nowAt, isRunning: false, chargedUs: 0 }
  return { id, tenant, upstream, route, class: CLASSES.indexOf(wish.class), number, submittedAt: nowAt, ...place }
}

export const entryOf = (wish: SlotWish, number: number, nowAt: number): SlotEntry => ({
  kind: 'slots',
  ...standing(wish, number, nowAt),
  process: wish.process,
})

export const jobEntry = (order: KeptOrder, number: number, nowAt: number): JobEntry => ({
  kind: 'jobs',
  ...standing(order, number, nowAt),
  order: { ...order },
  status: 'queued',
  isLeased: false,
  process: '',
  fence: 0,
  attempt: 0,
  lost: 0,
  startedAt: null,
  finishedAt: null,
  deadlineAt: nowAt + order.queueMs,
  keepMs: order.keepMs,
  error: null,
  revision: 0,
  watchers: new Set(),
})

export function recordOf(job: JobEntry, position: number | null, waitMs: number | null): JobRecord {
  const { id, tenant, upstream, route, status, submittedAt, startedAt, finishedAt, deadlineAt } = job
  const { attempt, lost, error, revision, order } = job
  const times = { submittedAt, startedAt, finishedAt, deadlineAt }
  const { principal, class: cls } = order
  const common = { id, tenant, principal, upstream, route, class: cls, status, ...times }
  return { ...common, attempt, lost, error, position, waitMs, revision }
}
