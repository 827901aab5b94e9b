import type { Purge } from '../kernel/news.ts'
import type { Entry, Found, Place, Ticket } from './entry.ts'

/**
 * How a fill ended.
 * lost    a newer leader's token is the fence of the key, or none is
 * purged  a generation of the place moved since the leader began
 * full    larger than the tenant's whole budget
 */
export type FillOutcome = 'stored' | 'lost' | 'purged' | 'full'

export interface Bounds {
  /** What one tenant may hold, bytes. Its own least recently used entries go first. */
  maxTenantBytes: number
}

/** What the far tier says of one place, for `explain`. */
export interface FarView {
  kind: 'entry' | 'pass' | null
  /** How long the store itself will still keep it; null where nothing is kept. */
  leftMs: number | null
  bytes: number | null
  /** The generations of the place, joined by blanks; null where one is missing, so that nothing can be valid. */
  generation: string | null
  /** Whether a leader holds the right to fill. */
  isFenced: boolean
}

/** What happened in a far tier that no caller is told, for counters. */
export type FarEvent =
  /** A value that is no frame of ours, damaged, or of another key: a miss. */
  | 'garbage'
  /** Too many reads in one second to remember each for the least-recently-used order. */
  | 'touches-dropped'
  | 'touches-failed'
  | 'trim-failed'
  /** An entry went so that its tenant stays in its budget, or the store in its bound. */
  | 'evicted'

/**
 * The tier that all processes share. An entry is valid if and only if the generations it was filled under are still those of
 * its place: global, tenant, each tag. A generation is a unique value and purging is forgetting it; the next leader
 * makes another. So a store that loses keys by itself can only cause misses, never bring a purged answer back.
 *
 * Every method may throw StoreUnavailable. Every adapter passes far.contract.ts.
 */
export interface Far {
  read(place: Place): Promise<Found>
  /** Makes `token` the fence of the key and missing generations, and looks once more, all at once. */
  begin(place: Place, token: string): Promise<{ found: Found; ticket: Ticket }>
  /** Stores and announces (`filled`), if the ticket is still good. */
  fill(place: Place, entry: Entry, ticket: Ticket, bounds: Bounds): Promise<FillOutcome>
  /** Leaves a pass marker for PASS_MS, under the same conditions. */
  fillPass(place: Place, ticket: Ticket): Promise<FillOutcome>
  /** Notes on the stored entry, if it is still this one, that its refresh failed at `entry.rearmedAt`. */
  rearm(place: Place, entry: Entry): Promise<void>
  /** O(1) whatever it concerns. */
  purge(what: Purge): Promise<void>
  inspect(place: Place): Promise<FarView>
  stats(): FarStats
  close(): Promise<void>
}

/** Undefined where only the store knows. */
export interface FarStats {
  bytes: number | undefined
  entries: number | undefined
  events: Readonly<Record<FarEvent, number>>
}

export class FarEvents {
  readonly counts: Record<FarEvent, number> = {
    garbage: 0,
    'touches-dropped': 0,
    'touches-failed': 0,
    'trim-failed': 0,
    evicted: 0,
  }
  count(event: FarEvent, times = 1): void {
    this.counts[event] += times
  }
}
