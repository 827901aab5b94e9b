import { acceptedCodings } from '../cache/accept.ts'
import { storedHeaders } from '../cache/storable.ts'
import { Refusal, StoreUnavailable } from '../kernel/errors.ts'
import type { Coding, FlatHeaders } from '../kernel/exchange.ts'
import type { JobRecord } from '../queue/scheduler.ts'
import { decoded } from '../results/decoded.ts'
import { ResultLost } from '../results/results.ts'
import { decodeStored, type Stored } from '../results/stored.ts'
import type { Call } from './call.ts'
import type { Delivery, Said } from './delivery.ts'
import { hasEnded, isRefusalCode, jobError } from './document.ts'
import type { House } from './house.ts'

const NEVER = new AbortController().signal

/** When to ask again for what is not there yet, ms: as the line tells, within these. */
const MIN_RETRY_MS = 1_000
const MAX_RETRY_MS = 60_000

/**
 * The job as it is when it has ended, when so long has passed, or when `closing` aborts; as it was last known where the
 * store went away meanwhile. Rejects with the signal's reason, and with JOB_NOT_FOUND once the job is forgotten.
 */
export async function whenEnded(
  record: JobRecord,
  waitMs: number,
  signal: AbortSignal,
  house: Pick<House, 'watches' | 'scheduler' | 'clock'>,
  closing: AbortSignal = NEVER,
): Promise<JobRecord> {
  let known = record
  if (hasEnded(known) || waitMs === 0) return known
  const untilAt = house.clock.now() + waitMs
  const woken = AbortSignal.any([signal, closing])
  try {
    using watch = await house.watches.open(known.tenant, known.id)
    for (;;) {
      known = (await house.scheduler.look(known.tenant, known.id)) ?? forgotten()
      const leftMs = untilAt - house.clock.now()
      if (hasEnded(known) || leftMs <= 0 || closing.aborted) return known
      await watch.change(leftMs, woken).catch(() => signal.throwIfAborted())
    }
  } catch (error) {
    if (error instanceof StoreUnavailable) return known
    throw error
  }
}

function forgotten(): never {
  throw new Refusal('JOB_NOT_FOUND')
}

/** What the upstream answered, once the job has ended. Throws why there is none: what refuses it, or what it failed of. */
export async function resultDelivery(
  call: Pick<Call, 'headers'>,
  record: JobRecord,
  said: Said,
  headers: FlatHeaders,
  house: Pick<House, 'scheduler' | 'results'>,
): Promise<Delivery> {
  try {
    const { stored, body } = await read(record, headers, house)
    const accepted = acceptedCodings(call.headers['accept-encoding'] as string | undefined)
    const coding = accepted[stored.coding] ? stored.coding : 'identity'
    return {
      kind: 'result',
      ...said,
      status: stored.status,
      headers: [...headersOf(stored, coding), ...headers],
      bytes: coding === stored.coding ? stored.bytes : stored.rawBytes,
      body: inOurWords(coding === stored.coding ? body : decoded(stored, body)),
    }
  } catch (error) {
    throw orUnavailable(error)
  }
}

async function read(
  record: JobRecord,
  headers: FlatHeaders,
  { scheduler, results }: Pick<House, 'scheduler' | 'results'>,
): Promise<{ stored: Stored; body: AsyncIterable<Buffer> }> {
  if (record.status !== 'succeeded' && record.status !== 'failed') throw noResult(record, headers)
  const frame = await scheduler.result(record.tenant, record.id)
  if (!frame && record.status === 'failed') throw failure(record)
  const stored = frame && decodeStored(frame)
  const body = stored && (await results.read(record.tenant, stored))
  if (!body) throw new Refusal('RESULT_EXPIRED')
  return { stored: stored!, body }
}

function noResult(record: JobRecord, headers: FlatHeaders): Refusal {
  const { status, waitMs } = record
  if (status === 'expired') return failure(record)
  if (status === 'cancelled') {
    return new Refusal('JOB_NOT_FINISHED', { detail: 'the job was cancelled and will have none', headers })
  }
  const retryAfterMs = Math.min(Math.max(waitMs ?? 0, MIN_RETRY_MS), MAX_RETRY_MS)
  return new Refusal('JOB_NOT_FINISHED', { detail: `the job is ${status}`, retryAfterMs, headers })
}

/** What the job ended with, as if this request had met it. */
function failure(record: JobRecord): Refusal {
  const { code, detail } = jobError(record) ?? { code: 'INTERNAL', detail: undefined }
  if (isRefusalCode(code)) return new Refusal(code, { detail })
  return new Refusal('INTERNAL', { detail: `the job failed with ${code}` })
}

/** The upstream's own, and what is true of this delivery. A result is one caller's, and may be gone tomorrow. */
function headersOf(stored: Stored, coding: Coding): FlatHeaders {
  const headers: FlatHeaders = []
  const vary: string[] = []
  const kept = storedHeaders(stored.headers)
  for (let i = 0; i < kept.length; i += 2) {
    const [name, value] = [kept[i]!, kept[i + 1]!]
    if (name === 'vary') vary.push(value)
    else if (!OF_THE_UPSTREAM_ALONE.has(name)) headers.push(name, value)
  }
  headers.push('cache-control', 'private, no-cache', 'vary', [...vary, 'Accept-Encoding'].join(', '))
  if (coding !== 'identity') headers.push('content-encoding', coding)
  return headers
}

/** They speak of the answer to the query, not of this one. */
const OF_THE_UPSTREAM_ALONE = new Set(['cache-control', 'date', 'expires', 'pragma'])

async function* inOurWords(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* body
  } catch (error) {
    throw error instanceof ResultLost ? new Refusal('RESULT_EXPIRED', { cause: error }) : orUnavailable(error)
  }
}

/** Without the store nothing can be said of a job. */
export function orUnavailable(error: unknown): unknown {
  if (!(error instanceof StoreUnavailable)) return error
  return new Refusal('STORE_UNAVAILABLE', { retryAfterMs: 1_000, cause: error })
}
