import type { Entry } from '../cache/entry.ts'
import { freshness } from '../cache/freshness.ts'
import { decodeBody } from '../kernel/coding.ts'
import { digestParts } from '../kernel/digest.ts'
import { Refusal, StoreUnavailable } from '../kernel/errors.ts'
import { ulid } from '../kernel/ids.ts'
import type { JobOrder, JobRecord, Submitted } from '../queue/scheduler.ts'
import { encodeStored } from '../results/stored.ts'
import type { Admitted } from './admit.ts'
import type { Call } from './call.ts'
import type { Delivery, RateNotice } from './delivery.ts'
import { documentAnswer, hasEnded, jobDocument, jobPath, principalDigest } from './document.ts'
import type { House } from './house.ts'
import { resultDelivery, whenEnded } from './jobs.ts'
import { keepWithin } from './keep.ts'
import { encodeOrder, parted } from './order.ts'
import type { Route, SubmitPolicy, TenantPolicy } from './policy.ts'
import { pose, poseUnkeyed } from './pose.ts'
import { type Preferences, preferenceApplied, preferences } from './prefer.ts'
import type { Query } from './query.ts'
import { recall } from './recall.ts'
import { doorOf, noteShadow, noticeOf, refusalOf } from './right.ts'
import { cacheStatus } from './status.ts'

/**
 * The walk of one submission: what a request would ask becomes a durable job, which the worker pool runs in its tenant's
 * turn. Answered 202 once the store has it; a cached answer makes a job that is over at once, and `Prefer: wait` gives
 * the result in place when it is there in time.
 */
export async function submit(call: Call, route: Route, admitted: Admitted, house: House): Promise<Delivery> {
  const { caller, tenant } = admitted
  const preferred = preferences(call.headers.prefer)
  if (!caller || !tenant) throw new Refusal('TOKEN_MISSING', { detail: 'a job belongs to somebody' })
  const body = await call.body()
  const { trustedProxies } = house.policy
  const query = route.cached
    ? pose(call, route, admitted, body, trustedProxies)
    : poseUnkeyed(call, route, admitted, body, trustedProxies)
  if (route.cached) call.facts.key = query.question.key

  const order = await orderOf(call, query, route.submit!, tenant, body)
  const cached = route.cached ? await freshEntry(call, query, house) : null
  const accepted = cached
    ? await recordAnswer(order, query, cached, route.submit!, house)
    : await enqueue(order, tenant, house)
  return answered(call, accepted, preferred, cached !== null, house)
}

interface Accepted {
  record: JobRecord
  rate: RateNotice | undefined
}

async function orderOf(
  call: Call,
  query: Query,
  { resultTtlMs, sealer, replicated }: SubmitPolicy,
  tenant: TenantPolicy,
  body: Buffer,
): Promise<JobOrder> {
  const id = `job_${ulid(call.startedAt, Math.random)}`
  const { plain, secret } = parted(query)
  const sealed = sealer && secret.length > 0 ? sealer.seal(Buffer.from(JSON.stringify(secret)), id) : null
  const caller = query.caller!
  const { key, tags, bypass } = query.question
  const isKeyed = key !== ''
  return {
    id,
    ...{ tenant: tenant.name, upstream: query.upstreamName, route: query.route, class: query.class },
    width: query.upstreamWidth,
    principal: principalDigest(caller),
    payload: encodeOrder({
      question: isKeyed ? { key, tags, bypass } : null,
      ...{ caller, acceptEncoding: query.acceptEncoding, method: query.ask.method, target: query.ask.target },
      ...{ headers: plain, sealed, body: query.ask.body },
    }),
    keepsPayload: sealed === null, // a credential is kept only as long as its job lives
    ...{ queueMs: tenant.maxQueueMs, keepMs: resultTtlMs + Math.min(resultTtlMs, GONE_MS) },
    idempotency: idempotencyOf(call, query, body),
    replicated,
  }
}

/** A job is known so long after its result has gone (no longer than it had one), ms: RESULT_EXPIRED, and not JOB_NOT_FOUND. */
const GONE_MS = 60_000

const MAX_KEY_LENGTH = 255

/** The caller's own key for this request; the same key with another request is a mistake that must be told. */
function idempotencyOf(call: Call, query: Query, body: Buffer): JobOrder['idempotency'] {
  const given = call.headers['idempotency-key']
  if (given === undefined) return null
  if (typeof given !== 'string' || given === '' || given.length > MAX_KEY_LENGTH)
    throw new Refusal('REQUEST_INVALID', {
      detail: `Idempotency-Key must be one text of 1 to ${MAX_KEY_LENGTH} characters`,
    })
  const { method, target } = query.ask
  const fingerprint = query.question.key || digestParts([method, target, body])
  return {
    key: digestParts([principalDigest(query.caller!), given]),
    fingerprint: digestParts([query.route, fingerprint]),
  }
}

async function freshEntry(call: Call, query: Query, house: House): Promise<Entry | null> {
  if (query.question.bypass !== null) return null
  const found = await recall(call, query, house)
  return found?.kind === 'entry' && freshness(found.entry, call.startedAt) === 'fresh' ? found.entry : null
}

async function recordAnswer(
  order: JobOrder,
  query: Query,
  entry: Entry,
  { resultTtlMs }: SubmitPolicy,
  house: House,
): Promise<Accepted> {
  const { maxResultBytes, maxResultsBytes } = query.tenant!
  const { id, tenant } = order
  const { status, headers } = entry
  const limits = { ttlMs: resultTtlMs, maxBytes: Math.max(maxResultBytes, entry.rawBytes) }
  const writer = house.results.writer({ tenant, id, fence: 0, status, headers, ...limits })
  await writer.write(await decodeBody(entry.coding, entry.body, entry.rawBytes))
  const stored = await writer.end()
  try {
    const told = await house.scheduler.record({ ...order, payload: EMPTY }, encodeStored(stored))
    if ('kind' in told) {
      await house.results.drop(tenant, id, stored)
      return repeated(told, tenant, house)
    }
    house.metrics.jobs.inc({ tenant: house.tenantLabels.of(tenant), status: 'succeeded' })
    void keepWithin(tenant, id, stored, maxResultsBytes, house)
    return { record: told, rate: undefined }
  } catch (error) {
    await house.results.drop(tenant, id, stored).catch(() => {}) // it ends by its ttl
    throw orUnavailable(error)
  }
}

const EMPTY = Buffer.alloc(0)

async function enqueue(order: JobOrder, tenant: TenantPolicy, house: House): Promise<Accepted> {
  const told = await house.scheduler
    .submit(order, tenant.queue, doorOf(tenant, house))
    .catch((error) => Promise.reject(orUnavailable(error)))
  if (told.kind === 'repeat' || told.kind === 'mismatch') return repeated(told, order.tenant, house)
  if (told.kind !== 'queued') throw refusalOf(told, tenant, house)
  house.metrics.jobs.inc({ tenant: house.tenantLabels.of(tenant.name), status: 'queued' })
  if (told.wouldRefuse) noteShadow(tenant, 'maxQueueSize', house)
  house.onDue(told.record.deadlineAt)
  return { record: told.record, rate: told.rate ? noticeOf(told.rate, tenant, house) : undefined }
}

async function repeated(
  { kind, id }: Extract<Submitted, { kind: 'repeat' | 'mismatch' }> | { kind: 'repeat' | 'mismatch'; id: string },
  tenant: string,
  house: House,
): Promise<Accepted> {
  if (kind === 'mismatch') {
    throw new Refusal('IDEMPOTENCY_MISMATCH', { detail: `this Idempotency-Key made ${id}, from another request` })
  }
  const record = await house.scheduler.look(tenant, id).catch((error) => Promise.reject(orUnavailable(error)))
  // Forgotten between two looks: its key is free again.
  if (!record)
    throw new Refusal('STORE_UNAVAILABLE', { detail: 'the first job has just been forgotten', retryAfterMs: 1_000 })
  return { record, rate: undefined }
}

function orUnavailable(error: unknown): unknown {
  if (!(error instanceof StoreUnavailable)) return error
  return new Refusal('STORE_UNAVAILABLE', { retryAfterMs: 1_000, cause: error })
}

async function answered(
  call: Call,
  { record, rate }: Accepted,
  preferred: Preferences,
  isHit: boolean,
  house: House,
): Promise<Delivery> {
  const status = isHit ? 'hit; detail=job' : cacheStatus.forwarded({ reason: 'uri-miss', detail: 'job' })
  const common = { outcome: 'queued' as const, cacheStatus: status, rate }
  if (preferred.waitMs !== null) {
    const ended = await whenEnded(record, preferred.waitMs, call.signal, house, call.closing)
    if (hasEnded(ended)) {
      const location = ['content-location', `${jobPath(ended.id)}/result`, ...applied(preferred)]
      return resultDelivery(call, ended, { ...common, outcome: isHit ? 'hit' : 'queued' }, location, house)
    }
    return accepted(ended, preferred, common)
  }
  return accepted(record, preferred, common)
}

const applied = (preferred: Preferences): string[] => {
  const told = preferenceApplied(preferred)
  return told ? ['preference-applied', told] : []
}

function accepted(
  record: JobRecord,
  preferred: Preferences,
  common: { outcome: 'queued'; cacheStatus: string; rate: RateNotice | undefined },
): Delivery {
  const headers = ['location', jobPath(record.id), ...applied(preferred)]
  return { kind: 'answer', ...common, answer: documentAnswer(202, jobDocument(record), headers) }
}
