import type { Clock } from '../kernel/clock.ts'
import { Refusal } from '../kernel/errors.ts'

/** What ends an ask early, in one signal: the caller's own signal, or the time that is allowed for all of it. */
export class Limit {
  readonly #clock: Clock
  readonly #endsAt: number
  readonly #controller = new AbortController()
  readonly #done = new AbortController()
  readonly #outer: AbortSignal
  readonly #leave = () => this.#controller.abort(this.#outer.reason)
  #expired = false

  constructor(allowedMs: number, outer: AbortSignal, clock: Clock) {
    this.#clock = clock
    this.#endsAt = clock.now() + allowedMs
    this.#outer = outer
    outer.addEventListener('abort', this.#leave, { once: true })
    clock.sleep(allowedMs, this.#done.signal).then(
      () => this.#expire(),
      () => {}, // ended before
    )
  }

  /** Aborts with the caller's reason or with DEADLINE_EXCEEDED. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** True when it was the time that ended it. */
  get expired(): boolean {
    return this.#expired
  }

  get remainingMs(): number {
    return this.#endsAt - this.#clock.now()
  }

  /** The ask is over; nothing aborts after this. */
  end(): void {
    this.#done.abort()
    this.#outer.removeEventListener('abort', this.#leave)
  }

  #expire(): void {
    this.#expired = !this.#controller.signal.aborted
    this.#controller.abort(new Refusal('DEADLINE_EXCEEDED'))
  }
}
