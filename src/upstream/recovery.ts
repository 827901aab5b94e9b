import type { BreakerName } from './breaker.ts'

/** After a rest so many at a time; every success lets one more go, which doubles it once per round (TCP's slow start). */
const FIRST_WIDTH = 4
/** From here on it is well. */
const WELL_WIDTH = 256

/** How much an upstream that has just come back is given to do at a time. */
export class Recovery {
  #width = Number.POSITIVE_INFINITY
  #rested = false

  get width(): number {
    return this.#width
  }

  note(state: BreakerName): void {
    if (state === 'open') this.#rested = true
    if (state !== 'closed' || !this.#rested) return
    this.#rested = false
    this.#width = FIRST_WIDTH
  }

  succeeded(): void {
    if (this.#width === Number.POSITIVE_INFINITY) return
    this.#width = this.#width >= WELL_WIDTH ? Number.POSITIVE_INFINITY : this.#width + 1
  }
}
