/** The scripts' answers as the port tells them: numbers come as numbers or texts, texts as bytes. */
import { CLASSES } from './policy.ts'
import type { Claimed, Given, JobOrder, JobRecord, JobStatus, RateTaking, Refused } from './scheduler.ts'

/** An answer of a script, bytes turned to text; payloads and results stay as they are. */
type Reply = Buffer | string | number | null

export const text = (reply: unknown): string => (Buffer.isBuffer(reply) ? reply.toString() : String(reply ?? ''))
export const number = (reply: unknown): number => Number(text(reply))
/** '' and -1 stand for nothing. */
const instant = (reply: unknown): number | null => (text(reply) === '' || number(reply) < 0 ? null : number(reply))
export const bytes = (reply: unknown): Buffer | null =>
  Buffer.isBuffer(reply) && reply.length > 0 ? reply : typeof reply === 'string' && reply ? Buffer.from(reply) : null

/** @param nowAt the instant of the answer: what is due is told in ms from then, for two machines' clocks disagree */
export function givenOf([claimed, held, dueInMs]: Reply[], nowAt: number): Given {
  const jobs = claimed as unknown as Reply[][]
  return {
    claimed: jobs.map(claimedOf),
    held: number(held) === 1,
    nextDueAt: dueAt(dueInMs, nowAt),
  }
}

export const dueAt = (dueInMs: unknown, nowAt: number): number | null =>
  text(dueInMs) === '' ? null : nowAt + number(dueInMs)

function claimedOf(reply: Reply[]): Claimed {
  const [id, tenant, principal, upstream, route, cls, payload, fence, attempt, submittedAt, queuedMs] = reply
  const names = {
    id: text(id),
    tenant: text(tenant),
    principal: text(principal),
    upstream: text(upstream),
  }
  const numbers = {
    fence: number(fence),
    attempt: number(attempt),
    submittedAt: number(submittedAt),
  }
  return {
    ...names,
    ...numbers,
    route: text(route),
    class: CLASSES[number(cls)]!,
    payload: bytes(payload) ?? Buffer.alloc(0),
    queuedMs: number(queuedMs),
  }
}

/** Whose a stored job is: it begins with its tenant, as a text that ends in a zero byte (entry.lua). */
export const ownerOf = (job: Buffer): string => job.toString('utf8', 0, job.indexOf(0))

/** As record_of.lua writes it, or nothing. */
export function recordOfReply(reply: unknown): JobRecord | null {
  if (!Array.isArray(reply)) return null
  const [id, position, wait, tenant, upstream, route, cls, principal, status, ...rest] = reply as Reply[]
  const [submittedAt, startedAt, finishedAt, deadlineAt, attempt, lost, revision, error] = rest
  return {
    ...{ id: text(id), tenant: text(tenant), principal: text(principal), upstream: text(upstream), route: text(route) },
    class: CLASSES[number(cls)]!,
    status: text(status) as JobStatus,
    ...{ submittedAt: number(submittedAt), startedAt: instant(startedAt), finishedAt: instant(finishedAt) },
    ...{ deadlineAt: number(deadlineAt), attempt: number(attempt), lost: number(lost), error: text(error) || null },
    ...{ position: instant(position), waitMs: instant(wait), revision: number(revision) },
  }
}

/** A job as it has just entered the line. */
export function queuedRecord(
  order: JobOrder,
  { position, waitMs, nowAt }: { position: number; waitMs: number; nowAt: number },
): JobRecord {
  const { id, tenant, principal, upstream, route, class: cls, queueMs } = order
  const times = {
    submittedAt: nowAt,
    startedAt: null,
    finishedAt: null,
    deadlineAt: nowAt + queueMs,
  }
  const counts = { attempt: 0, lost: 0, revision: 1 }
  return {
    id,
    tenant,
    principal,
    upstream,
    route,
    class: cls,
    status: 'queued',
    ...times,
    ...counts,
    error: null,
    position,
    waitMs,
  }
}

/** `{}` stands for no rate. */
export function rateOfReply(reply: unknown): RateTaking | null {
  const [allowed, remaining, retryAfterMs, resetMs] = (reply as Reply[]).map(number)
  if (allowed === undefined) return null
  return {
    allowed: allowed === 1,
    remaining: remaining!,
    retryAfterMs: retryAfterMs!,
    resetMs: resetMs!,
  }
}

/** Undefined: it is another answer. */
export function refusedOf([kind, first, second]: unknown[]): Refused | undefined {
  if (text(kind) === 'full')
    return {
      kind: 'full',
      depth: number(first),
      waitMs: number(second),
      rate: null,
    }
  if (text(kind) === 'limited') return { kind: 'limited', rate: rateOfReply(first)! }
  return undefined
}
