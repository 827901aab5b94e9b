/**
 * Single flight over all processes: one of them leads the flight of a key, the others watch for its landing.
 * It saves upstream requests and promises nothing more: two leaders at a time are possible (a pause longer than the
 * lease), which is why a fill carries its leader's token and is fenced where the data lies.
 */
export interface Fleet {
  /**
   * Tries once to lead the flight of `key` for `tenant` over all processes. Hearing landings is armed before the
   * attempt, so none can fall between a refusal and the wait. Throws StoreUnavailable.
   */
  depart(place: FlightPlace): Promise<Lease | Watch>
}

export interface FlightPlace {
  key: string
  tenant: string
}

/** The right to ask the upstream for all. Extended by itself while it lives; ends with `land`. */
export interface Lease {
  readonly leads: true
  /** Fences the fill: the store takes one only from the newest leader of its key. */
  readonly token: string
  /** Aborts when the lease could not be extended in time (someone else may lead now). The fill is fenced anyway. */
  readonly lost: AbortSignal
  /**
   * Ends the flight and tells those who watch; a lease that is no longer own ends nothing and tells nobody.
   * 'filled' has been told by the fill script; who began to watch too late to hear it is sent to look.
   * Never throws, also not when called twice.
   */
  land(landing: Landing): Promise<void>
}

/**
 * How a flight ended. 'filled': the entry is in the cache. 'open': nothing to share (uncacheable, too large), everyone
 * for himself. 'failed': `note` (at most MAX_NOTE_BYTES, opaque) tells the followers why, for NOTE_MS.
 */
export type Landing = { how: 'filled' } | { how: 'open' } | { how: 'failed'; note?: Buffer }

/** Someone else leads. To be waited on once, and closed. */
export interface Watch {
  readonly leads: false
  /**
   * The landing; null when it is time to look for oneself: after min(lease left, 1 s ± 20 %), or after a gap in the
   * bus. Rejects with `signal.reason`.
   */
  landing(signal: AbortSignal): Promise<Landing | null>
  /** Stops hearing. A `landing` that is under way ends with null. */
  close(): void
}

/** A failure's followers share it this long; then one of them may lead. */
export const NOTE_MS = 1_000

/** A longer note is left out: its followers ask for themselves. */
export const MAX_NOTE_BYTES = 64 * 1024
