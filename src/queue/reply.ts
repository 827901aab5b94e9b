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

/** The words of a job, as entry.lua writes them. */
const WORDS = [
  ...(['tenant', 'upstream', 'route', 'class', 'number', 'principal', 'keeps', 'queueMs', 'keepMs', 'idem'] as const),
  ...([
    'submittedAt',
    'status',
    'fence',
    'attempt',
    'lost',
    'linedAt',
    'deadlineAt',
    'startedAt',
    'finishedAt',
  ] as const),
  ...(['revision', 'watchers', 'process', 'leased', 'runs', 'lined', 'charged'] as const),
]

/** `{id, position, wait, words}`, or nothing. */
export function recordOfReply(reply: unknown): JobRecord | null {
  if (!Array.isArray(reply)) return null
  const [id, position, wait, words] = reply as [Reply, Reply, Reply, Reply]
  const all = text(words).split(' ')
  const fields = Object.fromEntries(WORDS.map((name, at) => [name, all[at]!])) as Record<(typeof WORDS)[number], string>
  const at = (word: string) => (word === '-' ? null : Number(word))
  return {
    id: text(id),
    ...{
      tenant: fields.tenant,
      principal: fields.principal,
      upstream: fields.upstream,
      route: fields.route,
    },
    class: CLASSES[Number(fields.class)]!,
    status: fields.status as JobStatus,
    ...{
      submittedAt: Number(fields.submittedAt),
      startedAt: at(fields.startedAt),
      finishedAt: at(fields.finishedAt),
    },
    ...{
      deadlineAt: Number(fields.deadlineAt),
      attempt: Number(fields.attempt),
      lost: Number(fields.lost),
    },
    error: all.slice(WORDS.length).join(' ') || null,
    ...{
      position: instant(position),
      waitMs: instant(wait),
      revision: Number(fields.revision),
    },
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
