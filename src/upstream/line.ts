import { Refusal } from '../kernel/errors.ts'

/** A longer line only makes its tail miss the deadline. */
const MAX_WAITING = 10_000

/**
 * The line for one URL's connections. undici has a queue of its own, but what is aborted in there keeps its place
 * until its turn; here a leaver gives it back at once.
 */
export class Line {
  #free: number
  /** In the order of arrival; removing from the middle is cheap. */
  readonly #waiting = new Set<() => void>()

  constructor(width: number) {
    this.#free = width
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** Null when there was a place at once. Rejects with the signal's reason. */
  enter(signal: AbortSignal): Promise<void> | null {
    if (this.#free > 0) {
      this.#free--
      return null
    }
    if (this.#waiting.size >= MAX_WAITING) {
      throw new Refusal('UPSTREAM_UNREACHABLE', {
        detail: 'Too many requests wait for a connection.',
        retryAfterMs: 1_000,
      })
    }
    return this.#wait(signal)
  }

  leave(): void {
    const [next] = this.#waiting
    if (next) next()
    else this.#free++
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = () => {
        this.#waiting.delete(go)
        signal.removeEventListener('abort', giveUp)
        resolve()
      }
      const giveUp = () => {
        this.#waiting.delete(go)
        reject(signal.reason)
      }
      this.#waiting.add(go)
      signal.addEventListener('abort', giveUp, { once: true })
    })
  }
}
