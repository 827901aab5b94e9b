import type { Claimed, Ending } from './scheduler.ts'

/** One attempt of a job, as the pool hands it to whoever runs it. */
export interface Work {
  claimed: Claimed
  /** Aborts with a Stop when it shall end: cancelled, lost, or given back. */
  signal: AbortSignal
  /** Its slot is of no use to it for now; others may have it. */
  lend(): Promise<void>
}

export type StopReason = 'cancelled' | 'lost' | 'drain'

export class Stop extends Error {
  override readonly name = 'Stop'
  readonly reason: StopReason

  constructor(reason: StopReason) {
    super(reason)
    this.reason = reason
  }
}

/** How an attempt ended. */
export interface Done {
  ending: Ending
  /** How long the upstream worked for it, ms; null: it was not asked. */
  servedMs: number | null
  /** To be called once the scheduler has said whether it keeps this ending. */
  settled(kept: boolean): void
}
