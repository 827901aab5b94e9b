import { isEarly } from '../cache/early.ts'
import type { Entry } from '../cache/entry.ts'
import type { Freshness } from '../cache/freshness.ts'
import type { House } from './house.ts'
import { pilot } from './pilot.ts'
import type { Query } from './query.ts'
import { waitingRight } from './right.ts'

/** After a failed refresh a stale answer is served this long without another try, so that a sick upstream has peace. */
export const THROTTLE_MS = 10_000

/** Nobody in particular waits for a refresh, so nobody can leave it. */
const NEVER = new AbortController().signal

/** A stale answer wants a refresh; a fresh one near its end may have one early (XFetch). */
export function shouldRefresh(entry: Entry, worth: Freshness, query: Query, nowAt: number, house: House): boolean {
  if (nowAt < entry.rearmedAt + THROTTLE_MS) return false
  return worth === 'stale' || isEarly(entry, query.cache.early, nowAt, house.random)
}

/** Lets one refresh fly, in this process and in the fleet, by the same lease as a miss. Never throws, waits for nothing. */
export function refresh(query: Query, entry: Entry, house: House): void {
  const name = `refresh:${query.place.key}`
  if (house.flights.has(name)) return
  const seat = house.flights.board(name, (cockpit) => pilot(query, waitingRight(house), cockpit, house, entry.storedAt))
  const { deadlineMs, queueMs } = query
  seat.wait({ signal: NEVER, deadlineMs, queueMs }).then(
    (landing) => {
      if (landing.kind === 'own' && landing.fetched?.kind === 'large') landing.fetched.reply.body.destroy()
      if (landing.kind !== 'entry') house.cache.rearm(query.place, entry)
    },
    (error: unknown) => {
      house.cache.rearm(query.place, entry)
      house.log.warn(
        { err: error, route: query.route, key: query.place.key.slice(0, 16) },
        'a refresh failed; the old answer stays',
      )
    },
  )
}
