import { randomToken } from '../kernel/digest.ts'
import { type Entry, etagOf, type Place } from './entry.ts'

/** For tests: an entry as a leader would make it, with what the test cares about replaced. */
export function sampleEntry(changes: Partial<Entry> = {}): Entry {
  const body = changes.body ?? Buffer.from('{"rows":[1,2,3]}')
  return {
    status: 200,
    headers: ['content-type', 'application/json', 'date', 'Sun, 22 Nov 2026 10:00:00 GMT'],
    coding: 'identity',
    body,
    rawBytes: body.length,
    etag: etagOf(body),
    storedAt: 1_700_000_000_000,
    ttlMs: 60_000,
    staleMs: 10_000,
    errorMs: 30_000,
    computeMs: 400,
    rearmedAt: 0,
    ...changes,
  }
}

/** For tests: a place of its own, so that cases do not meet. */
export const samplePlace = (changes: Partial<Place> = {}): Place => ({
  key: `${randomToken()}${randomToken()}`,
  tenant: `tenant-${randomToken().toLowerCase()}`,
  tags: [],
  ...changes,
})
