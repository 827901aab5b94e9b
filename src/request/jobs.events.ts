import { StoreUnavailable } from '../kernel/errors.ts'
import type { Answer } from '../kernel/exchange.ts'
import type { JobRecord } from '../queue/scheduler.ts'
import type { Delivery, JobEvent } from './delivery.ts'
import { hasEnded, jobDocument } from './document.ts'
import type { House } from './house.ts'
import { orUnavailable } from './jobs.result.ts'

/** A line that moves is told of so often at most, ms. */
const POSITION_MS = 2_000

/** Longer than this without a word, and what stands between us and the client may take the connection for dead, ms. */
const HEARTBEAT_MS = 15_000

type Rooms = Pick<House, 'watches' | 'scheduler' | 'clock'>

/** Whether the client would rather have events than a document (RFC 9110 12.5.1). Of two it likes alike, the one it named. */
export function asksForEvents(accept: string | undefined): boolean {
  if (accept === undefined) return false
  const [events, document] = [weightOf('text/event-stream', accept), weightOf('application/json', accept)]
  if (events.q !== document.q) return events.q > document.q
  return events.q > 0 && events.precision > document.precision
}

interface Weight {
  q: number
  /** How closely the type was named: 2 itself, 1 its kind, 0 anything, -1 not at all. */
  precision: number
}

function weightOf(type: string, accept: string): Weight {
  const names = ['*/*', `${type.split('/')[0]}/*`, type]
  let weight = { q: 0, precision: -1 }
  for (const item of accept.split(',')) {
    const [range = '', ...parameters] = item.split(';').map((part) => part.trim().toLowerCase())
    const precision = names.indexOf(range)
    if (precision > weight.precision) weight = { q: qOf(parameters), precision }
  }
  return weight
}

function qOf(parameters: readonly string[]): number {
  const q = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? '1'
  return /^(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(q) ? Number(q) : 0
}

/** @param lastEventId what the client saw last, where it comes back: a revision */
export function eventsOf(record: JobRecord, lastEventId: string | string[] | undefined, house: Rooms): Delivery {
  const hasSeen = lastEventId === `${record.revision}`
  // It has seen the end: to an EventSource, which would come back for ever, 204 says that there is no more.
  if (hasSeen && hasEnded(record)) return { kind: 'answer', outcome: 'queued', answer: NO_MORE }
  return { kind: 'events', outcome: 'queued', events: (signal) => follow(record, hasSeen, signal, house) }
}

const NO_MORE: Answer = {
  status: 204,
  headers: ['cache-control', 'no-store'],
  coding: 'identity',
  body: Buffer.alloc(0),
}

/** What the client knows. */
interface Told {
  revision: number
  position: number | null
  changedAt: number
  /** Of anything at all. */
  wordAt: number
}

async function* follow(
  { tenant, id, revision, position }: JobRecord,
  hasSeen: boolean,
  signal: AbortSignal,
  house: Rooms,
): AsyncGenerator<JobEvent> {
  const { watches, scheduler, clock } = house
  using watch = await watches.open(tenant, id).catch((error) => Promise.reject(orUnavailable(error)))
  yield { kind: 'open' }
  const openAt = clock.now()
  const told: Told = { revision: hasSeen ? revision : -1, position, changedAt: openAt, wordAt: openAt }
  while (!signal.aborted) {
    // A stream outlives a store that is away for a while: what happened meanwhile is told then.
    const record = await scheduler.look(tenant, id).catch(orNothing)
    if (record === null) return
    const nowAt = clock.now()
    if (record && isNews(record, told, nowAt)) {
      Object.assign(told, { revision: record.revision, position: record.position, changedAt: nowAt, wordAt: nowAt })
      yield { kind: 'change', revision: record.revision, document: jobDocument(record) }
    } else if (nowAt - told.wordAt >= HEARTBEAT_MS) {
      told.wordAt = nowAt
      yield { kind: 'heartbeat' }
    }
    if (record && hasEnded(record)) return
    await watch.change(told.wordAt + HEARTBEAT_MS - clock.now(), signal).catch(() => {}) // the loop sees that it aborted
  }
}

function isNews(record: JobRecord, told: Told, nowAt: number): boolean {
  if (record.revision !== told.revision) return true
  return record.position !== told.position && nowAt - told.changedAt >= POSITION_MS
}

function orNothing(error: unknown): undefined {
  if (!(error instanceof StoreUnavailable)) throw error
}
