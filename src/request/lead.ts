import { encodeBody } from '../cache/coding.ts'
import { type Entry, etagOf, type Found, type Ticket } from '../cache/entry.ts'
import { drawTtlMs, freshness } from '../cache/freshness.ts'
import { storable, storedHeaders } from '../cache/storable.ts'
import type { Landing as FleetLanding, Lease } from '../flight/fleet.ts'
import type { Cockpit } from '../flight/flights.ts'
import { randomToken } from '../kernel/digest.ts'
import { Refusal, type RefusalCode, StoreUnavailable } from '../kernel/errors.ts'
import type { Reply } from '../upstream/upstream.ts'
import { askUpstream, valuesOf } from './ask.ts'
import type { Fetched } from './fetched.ts'
import type { House } from './house.ts'
import { type Landing, noteOf, unshared } from './landing.ts'
import type { Query } from './query.ts'
import type { Entered, Right } from './right.ts'

type Whole = Extract<Fetched, { kind: 'whole' }>

/**
 * The leader's part: look once more, take the right to go upstream, ask, store, tell the fleet.
 * @param right to go upstream: a slot
 * @param lease null where no fleet is led: the store is away, or one caller asks for itself (bypass, hit-for-miss)
 * @param than see pilot
 */
export async function lead(
  query: Query,
  right: Right,
  lease: Lease | null,
  cockpit: Cockpit,
  house: House,
  than = 0,
): Promise<Landing> {
  let toFleet: FleetLanding = { how: 'failed' }
  try {
    const { found, ticket } = await begin(query, lease?.token ?? randomToken(), house)
    if (found?.kind === 'entry' && isNews(found.entry, than, query, house)) {
      toFleet = { how: 'filled' }
      return { kind: 'entry', entry: found.entry, by: 'fleet', stored: false, cookies: [], rate: undefined }
    }
    // Left by the flight before this one. Without a lease we ask for one caller alone, who has heeded it already.
    if (found?.kind === 'pass' && lease) {
      toFleet = { how: 'open' }
      return unshared()
    }
    const { landing, announce } = await fetchAndStore(query, right, ticket, cockpit, house)
    toFleet = announce
    return landing
  } catch (error) {
    toFleet = { how: 'failed', ...noteFor(error, query) }
    throw error
  } finally {
    // Not awaited: our own waiters need not wait until the lease is given back.
    void lease?.land(toFleet)
  }
}

function isNews(found: Entry, than: number, query: Query, house: House): boolean {
  return query.question.bypass === null && found.storedAt > than && freshness(found, house.clock.now()) === 'fresh'
}

const OWN_LIMITS: ReadonlySet<RefusalCode> = new Set(['RATE_LIMITED', 'QUEUE_FULL', 'QUEUE_TIMEOUT'])

/**
 * Limits of the one who led: nobody else's business. Where tenants share answers an upstream that rests may do so for
 * one of them only (a 429): the others see for themselves.
 */
export function isOwnLimit(error: unknown, { cache }: Query): boolean {
  if (!(error instanceof Refusal)) return false
  return OWN_LIMITS.has(error.code) || (error.code === 'BREAKER_OPEN' && cache.identity === 'shared')
}

/** Only what says something about the question is shared; a limit of its own or a client that left is nobody else's business. */
function noteFor(error: unknown, query: Query): { note?: Buffer } {
  if (!(error instanceof Refusal) || isOwnLimit(error, query)) return {}
  const note = noteOf(error)
  return note ? { note } : {}
}

interface Begun {
  found: Found
  /** Null when the store is away: nothing can be stored there. */
  ticket: Ticket | null
}

async function begin(query: Query, token: string, house: House): Promise<Begun> {
  try {
    return await house.cache.begin(query.place, token)
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error
    house.metrics.cacheErrors.inc({ op: 'begin' })
    return { found: null, ticket: null }
  }
}

interface Outcome {
  landing: Landing
  announce: FleetLanding
}

async function fetchAndStore(
  query: Query,
  right: Right,
  ticket: Ticket | null,
  cockpit: Cockpit,
  house: House,
): Promise<Outcome> {
  // queue: a slot of the tenant, at once or in its turn; waiting for it, the flight has not started.
  const entered = await right.enter(query, cockpit.signal)
  cockpit.started()
  const { rate } = entered
  const fetched = await askInSlot(query, entered, cockpit.signal, house)
  if (fetched.kind === 'large') return leave(query, ticket, fetched, 'size', rate, house)
  if (isPersonal(fetched, query)) return { landing: own(fetched, 'status', rate), announce: { how: 'open' } }
  if (fetched.status !== 200) return shared(fetched, rate)
  if (!fetched.framed) return leave(query, ticket, fetched, 'unframed', rate, house)
  const verdict = storable({ status: fetched.status, headers: fetched.received, ...covered(query) })
  if (!verdict.store) return leave(query, ticket, fetched, verdict.reason, rate, house)

  const entry = await entryOf(fetched, query, house)
  const result = await fill(query, entry, ticket, house)
  house.metrics.cacheFills.inc({ result })
  const stored = result === 'stored' || result === 'near'
  return {
    landing: {
      kind: 'entry',
      entry,
      by: 'us',
      stored,
      detail: stored ? undefined : result,
      cookies: fetched.cookies,
      rate,
    },
    // A fill that was refused says nothing of the question: whoever waits elsewhere looks for himself.
    announce: result === 'stored' ? { how: 'filled' } : { how: 'failed' },
  }
}

/** The slot is held until the upstream has no more to do: for an answer that streams, until its end. */
async function askInSlot(query: Query, { leave }: Entered, signal: AbortSignal, house: House): Promise<Fetched> {
  const startedAt = house.clock.now()
  const served = () => leave(house.clock.now() - startedAt)
  try {
    const fetched = await askUpstream(query, signal, house)
    if (fetched.kind === 'whole') served()
    else fetched.reply = { ...fetched.reply, body: untilEnd(fetched.reply.body, served) }
    return fetched
  } catch (error) {
    served()
    throw error
  }
}

function untilEnd(body: Reply['body'], ended: () => void): Reply['body'] {
  return {
    async *[Symbol.asyncIterator]() {
      try {
        yield* body
      } finally {
        ended()
      }
    },
    destroy: (error) => {
      ended()
      body.destroy(error)
    },
  }
}

/** A "no" to the one who asked says nothing to the others with whom he shares his identity. */
const isPersonal = ({ status }: Whole, { cache }: Query): boolean =>
  (status === 401 || status === 403) && cache.identity !== 'principal'

const own = (fetched: Fetched, detail: string, rate: Landing['rate']): Extract<Landing, { kind: 'own' }> => ({
  kind: 'own',
  fetched,
  detail,
  rate,
})

/** An error is answered to all who wait now, here and in the fleet, and kept for nobody. */
function shared(fetched: Whole, rate: Landing['rate']): Outcome {
  const answer = { status: fetched.status, headers: fetched.headers, coding: 'identity' as const, body: fetched.body }
  const note = noteOf(answer)
  return {
    landing: { kind: 'answer', answer, by: 'us', cookies: fetched.cookies, rate },
    announce: { how: 'failed', ...(note && { note }) },
  }
}

/** Nothing to share: a marker tells the next callers to go in parallel (hit-for-miss), and everyone who waits goes alone. */
async function leave(
  query: Query,
  ticket: Ticket | null,
  fetched: Fetched,
  detail: string,
  rate: Landing['rate'],
  house: House,
): Promise<Outcome> {
  house.metrics.cacheFills.inc({ result: detail })
  if (ticket) {
    await house.cache.fillPass(query.place, ticket).catch((error) => {
      if (!(error instanceof StoreUnavailable)) throw error
      house.metrics.cacheErrors.inc({ op: 'mark' })
    })
  }
  const landing = own(fetched, detail, rate)
  if (fetched.kind === 'large') setTimeout(() => letGo(landing), UNTAKEN_MS).unref()
  return { landing, announce: { how: 'open' } }
}

/** An upstream answer that nobody came for (its last waiter left as it landed) must not hold its connection. */
const UNTAKEN_MS = 2_000

function letGo(landing: Extract<Landing, { kind: 'own' }>): void {
  if (landing.fetched?.kind === 'large') landing.fetched.reply.body.destroy()
  landing.fetched = null
}

async function fill(query: Query, entry: Entry, ticket: Ticket | null, house: House) {
  const maxTenantBytes = query.tenant?.cacheMaxBytes ?? Number.MAX_SAFE_INTEGER
  try {
    if (ticket) return await house.cache.fill(query.place, entry, ticket, { maxTenantBytes })
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error
    house.metrics.cacheErrors.inc({ op: 'fill' })
  }
  house.cache.admit(query.place, entry)
  return 'near' as const
}

async function entryOf(fetched: Whole, query: Query, house: House): Promise<Entry> {
  const { ttlMs, jitter, staleMs, errorMs } = query.cache
  const { coding, body } = await encodeBody(fetched.body, {
    acceptEncoding: query.acceptEncoding,
    contentType: valuesOf(fetched.headers, 'content-type')[0],
  })
  return {
    status: 200,
    headers: storedHeaders(fetched.received),
    coding,
    body,
    rawBytes: fetched.body.length,
    etag: etagOf(body),
    storedAt: house.clock.now(),
    ttlMs: drawTtlMs(ttlMs, jitter, house.random()),
    staleMs,
    errorMs,
    computeMs: fetched.computeMs,
    rearmedAt: 0,
  }
}

/**
 * What an answer may vary on and still be kept: what is keyed, what the upstream never got, and what says who asked,
 * for which the identity in the key stands (save where it is shared by all).
 */
const covered = ({ cache, rules }: Query) => ({
  keyedHeaders: cache.keyedHeaders,
  isStripped: (name: string) => !rules.sends(name) || (cache.identity !== 'shared' && rules.identifies(name)),
})
