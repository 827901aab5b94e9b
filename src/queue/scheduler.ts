/**
 * The scheduler: who may ask which upstream next (DESIGN 6). Two kinds of work stand in one order. A *slot* is the
 * right of a waiting request to one concurrent upstream query; a *job* is an accepted submission that a worker claims.
 *
 *   tenant ──┬── its line per upstream: interactive, default, batch, served 8:3:1, first come first served in each
 *            └── virtual time: service received per unit of weight
 *   upstream ─── ready: tenants with work for it that may run now, least virtual time first
 *                over:  the same, above their soft limit: served when nobody is ready
 *
 * A tenant stands in `ready` or `over` of an upstream if and only if it has work for it, is not paused and runs fewer
 * queries than its hard limit. Whether the upstream itself may be asked (its width, a breaker) is one look per
 * upstream, not one per tenant: resting it costs nothing however many wait.
 *
 * Running work is held by leases: `due` has one instant for everything that is kept (a lease's end, a deadline in the
 * line, a retry's time, a record's end), and `tick` deals with what is past it. Every adapter passes
 * scheduler.contract.ts, and twins.test.ts compares them operation for operation.
 */
import type { Rate, Taking } from '../kernel/gcra.ts'
import type { Class } from './policy.ts'

export type { Class } from './policy.ts'
export { CLASSES } from './policy.ts'

/** What one tenant may have, as its config says. */
export interface TenantLimits {
  /** Share of service against others, > 0. */
  weight: number
  /** Queries that may run at a time. */
  hard: number
  /** Above this many, only what nobody else wants. */
  soft: number
  /** Queued jobs and waiting requests together. */
  maxQueue: number
  /** Nothing new is started; what waits keeps its place. */
  paused: boolean
}

/** Checked at the door together with the depth of the line: a refusal charges nothing. */
export interface Door {
  rate: (Rate & { /** Which bucket, unique per tenant and limit. */ bucket: string; nowAt: number }) | null
  /** These only tell what they would refuse. */
  shadow: { rate: boolean; queue: boolean }
}

interface Wish {
  id: string
  tenant: string
  upstream: string
  route: string
  class: Class
  /** Of the upstream, over all tenants and processes. */
  width: number
}

/** A request that waits in place. Its process must be heard of once a lease (`extend`), or it is forgotten. */
export interface SlotWish extends Wish {
  process: string
}

export interface JobOrder extends Wish {
  /** Digest of who inside the tenant. */
  principal: string
  /** What a worker needs to run it; opaque here. */
  payload: Buffer
  /** Whether the payload may be kept after the job's end, so that a poisoned one can be tried again. */
  keepsPayload: boolean
  /** How long it may wait, ms; then it is `expired`. */
  queueMs: number
  /** How long its record and result are kept after its end, ms. */
  keepMs: number
  idempotency: { key: string; fingerprint: string } | null
  /** Accepted only once a replica of the store has it too, where the store has replicas. */
  replicated: boolean
}

export type JobStatus = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'expired'

export interface JobRecord {
  id: string
  tenant: string
  principal: string
  upstream: string
  route: string
  class: Class
  status: JobStatus
  /** Wall times, ms since the epoch. */
  submittedAt: number
  startedAt: number | null
  finishedAt: number | null
  /** When it expires in the line. */
  deadlineAt: number
  /** Executions begun, those that were given back unharmed not counted. */
  attempt: number
  /** Leases it has lost. */
  lost: number
  /** Text of what went wrong, as floor 2 wrote it. */
  error: string | null
  /** 1 = the next of its tenant; null unless queued. */
  position: number | null
  waitMs: number | null
  /** Moves with every change that is told. */
  revision: number
}

export interface Claimed {
  id: string
  tenant: string
  principal: string
  upstream: string
  route: string
  class: Class
  payload: Buffer
  /** The fencing token: who comes back with an older one is not heard. */
  fence: number
  attempt: number
  submittedAt: number
  /** How long it stood in the line since it was put there, ms. */
  queuedMs: number
}

/** What a process asks for: so many jobs, of these upstreams. */
export interface ClaimWish {
  process: string
  want: number
  upstreams: readonly UpstreamWish[]
}

export interface UpstreamWish {
  name: string
  width: number
  /** Jobs of it that this process may begin now (a resting one 0, one that is probed few). */
  allow: number
  /** Tenants whose jobs shall wait (they failed the last probe). */
  avoid: readonly string[]
}

export interface Given {
  claimed: Claimed[]
  /** Room was left for a worker that is on its way: look again (`nudge`) a little later. */
  held: boolean
  /** When `tick` has something to do next, ms since the epoch; null: never. */
  nextDueAt: number | null
}

export type Ending =
  | { how: 'succeeded'; result: Buffer }
  /** With a result where the upstream answered, with its no. */
  | { how: 'failed'; error: string; result: Buffer | null }
  /** Back into the line after a while. */
  | { how: 'retry'; delayMs: number }
  /** Back to its place, unharmed: it does not count as an attempt. `renew`: its time in the line begins anew. */
  | { how: 'back'; renew: boolean }

export interface Finish {
  id: string
  tenant: string
  fence: number
  ending: Ending
  /** Service it received upstream, ms; null: it says nothing (it was answered without asking). */
  servedMs: number | null
}

/** `kept` false: the lease was lost, or the job has ended otherwise (cancelled), and this ending is dropped. */
export type Finished = Given & { kept: boolean; status: JobStatus | null }

/** What the bucket answered. */
export type RateTaking = Omit<Taking, 'newTat'>

export type Submitted =
  | { kind: 'queued'; record: JobRecord; rate: RateTaking | null; wouldRefuse: boolean }
  | { kind: 'repeat'; id: string }
  | { kind: 'mismatch'; id: string }
  | Refused

export type Refused =
  | { kind: 'full'; depth: number; waitMs: number; rate: null }
  | { kind: 'limited'; rate: RateTaking }

export type Taken =
  | { kind: 'granted'; rate: RateTaking | null }
  | { kind: 'waiting'; position: number; waitMs: number; rate: RateTaking | null; wouldRefuse: boolean; held: boolean }
  | Refused

/** What `tick` did. */
export interface Ticked {
  /** Jobs that ended by it: expired, or poisoned. */
  ended: { id: string; tenant: string; status: JobStatus; class: Class }[]
  lost: number
  /** Records past their time; with the result, so that what it names elsewhere can be dropped. */
  forgotten: { id: string; tenant: string; result: Buffer | null }[]
  held: boolean
  nextDueAt: number | null
}

/** `lost`: no longer held, or not known. `granted` is told of slots, in case its push was missed. */
export type LeaseState = 'held' | 'waiting' | 'granted' | 'lost'

export interface LeaseRef {
  id: string
  tenant: string
  /** 0 for a slot. */
  fence: number
}

export interface TenantLoad {
  tenant: string
  running: number
  /** Per class, as CLASSES has them; what waits for a retry included. */
  depth: [number, number, number]
  /** When the first of those that wait was submitted, or a slot was asked for; null: nobody waits. */
  oldestAt: number | null
  paused: boolean
}

export interface JobQuery {
  tenant: string
  principal: string
  status: JobStatus | null
  limit: number
  /** The id of the last one seen; null: from the newest. */
  after: string | null
}

/** Pushed to processes; never relied on alone. */
export type Push =
  | { kind: 'granted'; slot: string }
  /** A job that this process watches has changed. */
  | { kind: 'changed'; job: string }
  /** A job that this process runs was cancelled. */
  | { kind: 'stop'; job: string }

/** Every method may throw StoreUnavailable. */
export interface Scheduler {
  /** Puts a job in the line. Resolves when it is durable. */
  submit(order: JobOrder, limits: TenantLimits, door: Door): Promise<Submitted>
  /** A job that is over as it is submitted: a cached answer was its result. */
  record(order: JobOrder, result: Buffer): Promise<JobRecord | { kind: 'repeat' | 'mismatch'; id: string }>
  /** Asks for a slot: at once, or by a push later. */
  acquire(wish: SlotWish, limits: TenantLimits, door: Door): Promise<Taken>
  /** Gives a slot back, or its place in the line, and claims what comes next. */
  release(slot: { id: string; tenant: string; servedMs: number | null }, next: ClaimWish): Promise<Given>
  claim(wish: ClaimWish): Promise<Given>
  /** Ends a running job's attempt and claims what comes next, in one. The same once more is kept as before. */
  finish(finish: Finish, next: ClaimWish): Promise<Finished>
  /** A running job's slot is of no use to it for now (it rides on another's query): others may have it. */
  lend(ref: LeaseRef, next: ClaimWish): Promise<Given & { kept: boolean }>
  /** Holds leases for another while, and hears which are gone. */
  extend(refs: readonly LeaseRef[]): Promise<LeaseState[]>
  /** Grants waiting requests what room there is. */
  nudge(wish: ClaimWish): Promise<Given>
  /** Deals with up to a hundred of what is due. */
  tick(wish: ClaimWish): Promise<Ticked>
  /** Null: there is no such job of this tenant. One that has ended stays as it is. */
  cancel(tenant: string, id: string, wish: ClaimWish): Promise<{ record: JobRecord; cancelled: boolean } | null>
  /** A poisoned job, or another that failed and kept its payload, once more. */
  retry(
    tenant: string,
    id: string,
    queueMs: number,
    width: number,
  ): Promise<{ record: JobRecord; retried: boolean } | null>
  /** Forgets a job that has ended. Its result, so that what it names elsewhere can be dropped; undefined: there is none. */
  drop(tenant: string, id: string): Promise<{ result: Buffer | null } | undefined>
  look(tenant: string, id: string): Promise<JobRecord | null>
  result(tenant: string, id: string): Promise<Buffer | null>
  /** Takes a result away from a job's record, which stays. */
  dropResult(tenant: string, id: string): Promise<Buffer | null>
  list(query: JobQuery): Promise<JobRecord[]>
  /** Pushes of this job's changes shall go to this process, until the job's end. */
  watch(tenant: string, id: string, process: string): Promise<void>
  /** Takes over changed limits for what is there already. */
  configure(tenant: string, limits: TenantLimits, wish: ClaimWish): Promise<Given>
  /** Tenants with work, a page at a time; `cursor` '0' begins and ends. */
  tenants(cursor: string): Promise<{ cursor: string; tenants: string[] }>
  loads(tenants: readonly string[]): Promise<TenantLoad[]>
  /** Whoever's it is, for operators. */
  find(id: string): Promise<JobRecord | null>
  /** Jobs, ended ones that are still kept included, a page at a time, for operators. */
  jobs(cursor: string): Promise<{ cursor: string; jobs: JobRecord[] }>
  /** Poisoned jobs, newest first. */
  dead(limit: number): Promise<JobRecord[]>
  /** Resolves when there may be something to claim of one of these upstreams, after `waitMs`, or when the signal aborts. */
  wait(upstreams: readonly string[], waitMs: number, signal: AbortSignal): Promise<void>
  onPush(heard: (push: Push) => void): () => void
  close(): Promise<void>
}

/** How long a lease lasts without a sign of life, ms. With a tick of up to a second it is over within 15 s. */
export const LEASE_MS = 14_000

/** A job whose lease was lost so often is not tried again. */
export const MAX_LOST = 3

/** Poisoned jobs are kept so long, ms, and so many of them per shard. */
export const DEAD_KEEP_MS = 7 * 86_400_000
export const MAX_DEAD = 1_000

/** What a loop inside a script, or a step of the twin, deals with at most. */
export const MAX_STEPS = 100
