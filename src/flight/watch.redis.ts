import type { Clock } from '../kernel/clock.ts'
import type { FlightPlace, Landing, Watch } from './fleet.ts'

/** Longest wait for news that may have been dropped. */
export const RECHECK_MS = 1_000

/** What a lease's own end is rounded by, so that it has surely ended, and so that its watchers do not return in step. */
const SETTLE_MS = 2
const SPREAD_MS = 20

/**
 * When to look for oneself, ms from now: at the lease's end, or after a second give or take 20 %.
 * @param random a draw from [0, 1)
 */
export function recheckMs(leaseLeftMs: number, random: number): number {
  return Math.round(Math.min(leaseLeftMs + SETTLE_MS + random * SPREAD_MS, RECHECK_MS * (0.8 + 0.4 * random)))
}

export interface WatchParts {
  clock: Clock
  /** It hears no more. May come several times. */
  onClose: () => void
  /** It was time to look, and nothing had been heard. */
  onVain: () => void
}

/** Hears from the moment it is made, before it is known whether anybody leads. */
export class RedisWatch implements Watch {
  readonly leads = false
  readonly place: FlightPlace
  readonly #parts: WatchParts
  readonly #heard = Promise.withResolvers<Landing | null>()
  #lookAt = Number.POSITIVE_INFINITY

  constructor(place: FlightPlace, parts: WatchParts) {
    this.place = place
    this.#parts = parts
  }

  /** Someone leads: look again in `ms`. */
  lookIn(ms: number): void {
    this.#lookAt = this.#parts.clock.now() + ms
  }

  hear(landing: Landing): void {
    this.#heard.resolve(landing)
  }

  /** News may have been missed. */
  gap(): void {
    this.#heard.resolve(null)
  }

  async landing(signal: AbortSignal): Promise<Landing | null> {
    signal.throwIfAborted()
    const heard = new AbortController()
    try {
      const landing = await Promise.race([
        this.#heard.promise,
        this.#timeToLook(AbortSignal.any([signal, heard.signal])),
      ])
      if (!landing) this.#parts.onVain()
      return landing
    } finally {
      heard.abort()
      this.close()
    }
  }

  async #timeToLook(signal: AbortSignal): Promise<null> {
    await this.#parts.clock.sleep(Math.max(0, this.#lookAt - this.#parts.clock.now()), signal)
    return null
  }

  close(): void {
    this.#heard.resolve(null)
    this.#parts.onClose()
  }
}
