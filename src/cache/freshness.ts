import type { Entry } from './entry.ts'

/**
 * What an entry is worth at one instant:
 * fresh: serve it; stale: serve it while it is refreshed; ifError: serve it only in place of an upstream's failure
 * (both RFC 5861); expired: as if it were not there.
 */
export type Freshness = 'fresh' | 'stale' | 'ifError' | 'expired'

export type EntryTimes = Pick<Entry, 'storedAt' | 'ttlMs' | 'staleMs' | 'errorMs'>

/** Edges are half-open: fresh on [storedAt, storedAt + ttlMs). */
export function freshness(entry: EntryTimes, nowAt: number): Freshness {
  const ageMs = ageOf(entry, nowAt)
  if (ageMs < entry.ttlMs) return 'fresh'
  if (ageMs < entry.ttlMs + entry.staleMs) return 'stale'
  if (ageMs < entry.ttlMs + entry.errorMs) return 'ifError'
  return 'expired'
}

/** Never negative: two gateways' clocks may disagree. */
export const ageOf = (entry: EntryTimes, nowAt: number): number => Math.max(0, nowAt - entry.storedAt)

/** The instant from which the entry is of no use to anybody. */
export const endOf = (entry: EntryTimes): number =>
  entry.storedAt + entry.ttlMs + Math.max(entry.staleMs, entry.errorMs)

/**
 * Draws an entry's ttl once, at its fill, from [ttl·(1−jitter), ttl·(1+jitter)), so that what was filled together does
 * not end together.
 * @param jitter a share, 0 to 1
 * @param random a draw from [0, 1)
 */
export const drawTtlMs = (ttlMs: number, jitter: number, random: number): number =>
  Math.round(ttlMs * (1 - jitter + 2 * jitter * random))
