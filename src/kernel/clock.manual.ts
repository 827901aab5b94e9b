import type { Clock } from './clock.ts'

interface Sleeper {
  wakesAt: number
  wake: () => void
}

/** A clock that only moves when a test moves it. */
export class ManualClock implements Clock {
  #nowAt: number
  #sleepers: Sleeper[] = []

  constructor(startAt = 1_700_000_000_000) {
    this.#nowAt = startAt
  }

  now(): number {
    return this.#nowAt
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const sleeper: Sleeper = { wakesAt: this.#nowAt + ms, wake: resolve }
      this.#sleepers.push(sleeper)
      signal?.addEventListener('abort', () => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper)
        reject(signal.reason)
      })
    })
  }

  /** Moves time on, waking sleepers in their order, and lets what they start settle. */
  async advance(ms: number): Promise<void> {
    const untilAt = this.#nowAt + ms
    for (;;) {
      const next = this.#sleepers.filter((s) => s.wakesAt <= untilAt).sort((a, b) => a.wakesAt - b.wakesAt)[0]
      if (!next) break
      this.#sleepers = this.#sleepers.filter((s) => s !== next)
      this.#nowAt = Math.max(this.#nowAt, next.wakesAt)
      next.wake()
      await new Promise((resolve) => setImmediate(resolve))
    }
    this.#nowAt = untilAt
    await new Promise((resolve) => setImmediate(resolve))
  }

  /** How many are asleep: a test waits on this, not on time. */
  get sleeping(): number {
    return this.#sleepers.length
  }
}
