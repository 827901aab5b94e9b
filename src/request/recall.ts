import type { Found } from '../cache/entry.ts'
import { StoreUnavailable } from '../kernel/errors.ts'
import type { Call } from './call.ts'
import type { House } from './house.ts'
import type { Query } from './query.ts'

/** What the tiers hold: the process's own without waiting, then the far one. A store that is away is a miss (DESIGN 8). */
export function recall(call: Call, query: Query, house: House): Found | Promise<Found> {
  const near = house.cache.peek(query.question.key)
  return near ?? recallFar(call, query, house)
}

async function recallFar(call: Call, query: Query, house: House): Promise<Found> {
  const startedAt = house.clock.now()
  try {
    return await house.cache.read(query.place)
  } catch (error) {
    countOutage(error, house)
    // Nobody can confirm what this process holds, and nobody can have purged it through the store either.
    return house.cache.peekUnconfirmed(query.place.key)
  } finally {
    call.timings.cache = house.clock.now() - startedAt
  }
}

/** The far tier, or null where it is away: store errors never fail an answer, they are counted. */
export async function readFar(query: Pick<Query, 'place'>, house: House): Promise<Found> {
  try {
    return await house.cache.read(query.place)
  } catch (error) {
    countOutage(error, house)
    return null
  }
}

function countOutage(error: unknown, house: House): void {
  if (!(error instanceof StoreUnavailable)) throw error
  house.metrics.cacheErrors.inc({ op: 'read' })
}
