import { freshness } from '../cache/freshness.ts'
import type { Lease, Watch } from '../flight/fleet.ts'
import type { Cockpit } from '../flight/flights.ts'
import { StoreUnavailable } from '../kernel/errors.ts'
import type { House } from './house.ts'
import { type Landing, readNote, unshared } from './landing.ts'
import { lead } from './lead.ts'
import type { Query } from './query.ts'
import { readFar } from './recall.ts'
import type { Right } from './right.ts'

/**
 * What a process does for all its callers who ask the same: leads the fleet's flight, or watches whoever leads it and
 * takes over when that one falls silent. Ends only by landing, by an error, or when nobody waits any more.
 * @param right the leader's, for the upstream
 * @param than an entry stored at or before this instant (ms) is not news: 0 for a miss, the old entry's for a refresh
 */
export async function pilot(query: Query, right: Right, cockpit: Cockpit, house: House, than = 0): Promise<Landing> {
  const { signal } = cockpit
  for (;;) {
    signal.throwIfAborted()
    const departure = await depart(query, house)
    if (departure === null || departure.leads) return lead(query, right, departure, cockpit, house, than)
    await right.ride()
    cockpit.started() // for all that is known here, it has
    const landing = await follow(query, departure, signal, house, than)
    if (landing) return landing
  }
}

/** Null when the store is away: then each process flies for itself (DESIGN 8). */
async function depart(query: Query, house: House): Promise<Lease | Watch | null> {
  try {
    return await house.fleet.depart(query.place)
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error
    house.metrics.cacheErrors.inc({ op: 'lease' })
    return null
  }
}

/** Waits for another process's flight. Undefined when it is time to try to lead. Throws the refusal it ended with. */
async function follow(
  query: Query,
  watch: Watch,
  signal: AbortSignal,
  house: House,
  than: number,
): Promise<Landing | undefined> {
  try {
    const landing = await watch.landing(signal)
    if (landing?.how === 'open') return unshared()
    if (landing?.how === 'failed') return landing.note && readNote(landing.note)
    // Filled, or time to look: pub/sub may have dropped the news.
    const found = await readFar(query, house)
    if (found?.kind === 'pass') return unshared()
    if (found?.kind !== 'entry' || found.entry.storedAt <= than) return undefined
    if (freshness(found.entry, house.clock.now()) !== 'fresh') return undefined
    return { kind: 'entry', entry: found.entry, by: 'fleet', stored: false, cookies: [], rate: undefined }
  } finally {
    watch.close()
  }
}
