import type { Entry, Found } from '../cache/entry.ts'
import { freshness } from '../cache/freshness.ts'
import type { Seat } from '../flight/flights.ts'
import { Refusal } from '../kernel/errors.ts'
import type { Call } from './call.ts'
import type { Delivery, RateNotice } from './delivery.ts'
import type { Fetched } from './fetched.ts'
import type { House } from './house.ts'
import type { Landing } from './landing.ts'
import { isOwnLimit, lead } from './lead.ts'
import { pilot } from './pilot.ts'
import type { Query } from './query.ts'
import { MustQueue, waitingRight } from './right.ts'
import { cacheStatus, type Forwarded } from './status.ts'

/** Codes and statuses that say the upstream is at fault, or far too busy: then an old answer is better than none (RFC 5861). */
const SICK_CODES = new Set([
  'QUEUE_TIMEOUT',
  'UPSTREAM_UNREACHABLE',
  'UPSTREAM_INVALID',
  'BREAKER_OPEN',
  'DEADLINE_EXCEEDED',
])
const SICK_STATUSES = new Set([500, 502, 503, 504])

type Reason = Forwarded['reason']

/** Answers a question that the cache could not: by a flight that everyone who asks the same shares. */
export async function fly(call: Call, query: Query, found: Found, house: House): Promise<Delivery> {
  const startedAt = house.clock.now()
  const known = found?.kind === 'entry' ? found.entry : null
  const reason = query.question.bypass !== null ? 'bypass' : known ? 'stale' : 'uri-miss'
  try {
    const go = found?.kind === 'pass' ? alone : together
    const delivery = await go(call, query, reason, house)
    const isSick = delivery.kind === 'answer' && SICK_STATUSES.has(delivery.answer.status)
    return (isSick && insteadOfError(known, house.clock.now())) || delivery
  } catch (error) {
    const isSick = error instanceof Refusal && SICK_CODES.has(error.code)
    const old = isSick && insteadOfError(known, house.clock.now())
    if (old) return old
    throw error
  } finally {
    call.timings.upstream = Math.max(0, house.clock.now() - startedAt - call.timings.queue)
  }
}

/** Whoever asks the same at the same time shares one flight; a purge starts a new one for those who come after it. */
async function together(call: Call, query: Query, reason: Reason, house: House): Promise<Delivery> {
  const name = flightName(query, house)
  const right = rightOf(call, house)
  const board = (name: string) =>
    house.flights.board(name, (cockpit) =>
      // A bypass wants what is true now: it neither reads the cache nor follows a flight of the fleet.
      reason === 'bypass' ? lead(query, right, null, cockpit, house) : pilot(query, right, cockpit, house),
    )
  const { seat, landing } = await landed(board, name, call, query)
  if (landing.kind === 'own') {
    const mine = seat.leads ? take(landing) : null
    return mine ? ownDelivery(mine, landing, reason) : alone(call, query, reason, house)
  }
  if (!seat.leads) house.metrics.followers.inc({ scope: 'process' })
  else if (landing.by === 'fleet') house.metrics.followers.inc({ scope: 'fleet' })
  return sharedDelivery(landing, query, reason, seat.leads && landing.by === 'us', house)
}

/** Boards until there is a landing, or an end that is this caller's own too. */
async function landed(
  board: (name: string) => Seat<Landing>,
  shared: string,
  call: Call,
  query: Query,
): Promise<{ seat: Seat<Landing>; landing: Landing }> {
  for (let name = shared; ; ) {
    const seat = board(name)
    try {
      return { seat, landing: await waitFor(seat, call, query) }
    } catch (error) {
      if (name === shared && isAnothersLimit(error, seat, query)) name = `${query.tenant?.name}:${shared}`
      else if (!(error instanceof MustQueue)) throw error
    }
  }
}

/** Those of one name share: what was asked before a purge is not what is asked after it. */
export const flightName = ({ question, place }: Query, house: House): string =>
  `${house.cache.purges}:${question.bypass !== null ? 'bypass:' : ''}${place.key}`

const waitFor = (seat: Seat<Landing>, { signal }: Call, { deadlineMs, queueMs }: Query): Promise<Landing> =>
  seat.wait({ signal, deadlineMs, queueMs })

const rightOf = (call: Call, house: House) =>
  waitingRight(house, (queuedMs) => {
    call.timings.queue = queuedMs
  })

/**
 * The tenant who led was over a limit of its own, or was told by the upstream to wait. Where tenants share answers that
 * must not refuse the others: those of one tenant then share a flight of their own.
 */
const isAnothersLimit = (error: unknown, { leads }: Seat<Landing>, query: Query): boolean =>
  !leads && query.cache.identity === 'shared' && isOwnLimit(error, query)

/** For what cannot be shared (hit-for-miss): in parallel with whoever asks the same. */
async function alone(call: Call, query: Query, reason: Reason, house: House): Promise<Delivery> {
  const seat = house.flights.alone((cockpit) => lead(query, rightOf(call, house), null, cockpit, house))
  const landing = await waitFor(seat, call, query)
  if (landing.kind !== 'own') return sharedDelivery(landing, query, reason, true, house)
  return ownDelivery(take(landing)!, landing, reason)
}

/** Marks it as taken. */
function take(landing: Extract<Landing, { kind: 'own' }>): Fetched | null {
  const { fetched } = landing
  landing.fetched = null
  return fetched
}

function sharedDelivery(
  landing: Exclude<Landing, { kind: 'own' }>,
  query: Query,
  reason: Reason,
  leads: boolean,
  house: House,
): Delivery {
  const { rate, cookies } = leads ? landing : { rate: undefined, cookies: [] }
  const detail = leads ? (query.question.bypass ?? undefined) : undefined
  if (landing.kind === 'entry') {
    const status = { reason, stored: leads && landing.stored, collapsed: !leads, detail: detail ?? landing.detail }
    const outcome = !leads ? 'collapsed' : reason === 'bypass' ? 'bypassed' : 'filled'
    const ageMs = Math.max(0, house.clock.now() - landing.entry.storedAt)
    return {
      kind: 'entry',
      outcome,
      entry: landing.entry,
      ageMs,
      cookies,
      cacheStatus: cacheStatus.forwarded(status),
      rate,
    }
  }
  const { answer } = landing
  const outcome = answer.status >= 500 ? 'failed' : leads ? 'bypassed' : 'collapsed'
  return {
    kind: 'answer',
    outcome,
    answer: { ...answer, headers: [...answer.headers, ...cookies] },
    cacheStatus: cacheStatus.forwarded({ reason, collapsed: !leads, detail }),
    rate,
  }
}

function ownDelivery(
  fetched: Fetched,
  { detail, rate }: { detail: string; rate: RateNotice | undefined },
  reason: Reason,
): Delivery {
  const common = { outcome: 'bypassed', cacheStatus: cacheStatus.forwarded({ reason, detail }), rate } as const
  if (fetched.kind === 'large') return { kind: 'stream', ...common, reply: fetched.reply, read: fetched.read }
  const headers = [...fetched.headers, ...fetched.cookies]
  return {
    kind: 'answer',
    ...common,
    answer: { status: fetched.status, headers, coding: 'identity', body: fetched.body },
  }
}

function insteadOfError(entry: Entry | null, nowAt: number): Delivery | null {
  if (!entry || freshness(entry, nowAt) === 'expired') return null
  const ageMs = Math.max(0, nowAt - entry.storedAt)
  return { kind: 'entry', outcome: 'stale', entry, ageMs, cacheStatus: cacheStatus.stale(entry.ttlMs - ageMs, 'error') }
}
