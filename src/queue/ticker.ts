import type { Clock } from '../kernel/clock.ts'
import { StoreUnavailable } from '../kernel/errors.ts'
import type { ClaimWish, Scheduler, Ticked } from './scheduler.ts'

/** Looks at least so often, ms: what another process left due may be known to nobody else who lives. */
const IDLE_MS = 10_000
/** Not oftener than this, and so much apart from other processes that know of the same instant. */
const PAUSE_MS = 200
const SPREAD_MS = 300
/** While more is due than one tick deals with, a process ticks for a twentieth of the time, so that a fleet leaves room. */
const BEHIND_MS = 20
const TICKS_SHARE = 20
/** Looks again after an outage, for what was due is due still; and the longest pause of one that is behind. */
const AGAIN_MS = 1_000

export interface TickerOptions {
  scheduler: Scheduler
  clock: Clock
  random: () => number
  wish: () => ClaimWish
  onTicked: (ticked: Ticked) => void
}

/** Ticks when something is due, as far as this process has heard; any process may, and several at once do no harm. */
export class Ticker {
  readonly #options: TickerOptions
  readonly #closing = new AbortController()
  #woken = new AbortController()
  #dueAt = Number.POSITIVE_INFINITY
  #running: Promise<void> | undefined

  constructor(options: TickerOptions) {
    this.#options = options
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Something is due then; null: nothing that is known. */
  hear(nextDueAt: number | null): void {
    if (nextDueAt === null || nextDueAt >= this.#dueAt) return
    this.#dueAt = nextDueAt
    this.#woken.abort()
  }

  async #run(): Promise<void> {
    let isBehind = false
    while (isBehind || (await this.#rest())) {
      const startedAt = this.#options.clock.now()
      isBehind = await this.#tick()
      const tookMs = this.#options.clock.now() - startedAt
      const pauseMs = isBehind ? Math.min(Math.max(BEHIND_MS, tookMs * TICKS_SHARE), AGAIN_MS) : PAUSE_MS
      if (!(await this.#sleep(pauseMs, this.#closing.signal))) return
    }
  }

  /** True when more is due already. */
  async #tick(): Promise<boolean> {
    const { scheduler, clock, wish, onTicked } = this.#options
    this.#dueAt = Number.POSITIVE_INFINITY
    try {
      const ticked = await scheduler.tick(wish())
      onTicked(ticked)
      this.hear(ticked.nextDueAt)
      return ticked.nextDueAt !== null && ticked.nextDueAt <= clock.now()
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      this.hear(clock.now() + AGAIN_MS)
      return false
    }
  }

  /** Until something is due. False when it is being closed. */
  async #rest(): Promise<boolean> {
    for (;;) {
      const nowAt = this.#options.clock.now()
      const waitMs = Math.max(0, Math.min(this.#dueAt - nowAt, IDLE_MS)) + this.#options.random() * SPREAD_MS
      if (await this.#sleep(waitMs, AbortSignal.any([this.#closing.signal, this.#woken.signal]))) return true
      if (this.#closing.signal.aborted) return false
      this.#woken = new AbortController()
    }
  }

  #sleep(ms: number, signal: AbortSignal): Promise<boolean> {
    return this.#options.clock.sleep(ms, signal).then(
      () => true,
      () => false,
    )
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#running
  }
}
