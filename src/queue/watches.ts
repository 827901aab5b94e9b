import type { Clock } from '../kernel/clock.ts'
import type { Scheduler } from './scheduler.ts'

/** News may be dropped: whoever waits looks for himself this often, ms. */
const LOOK_MS = 2_000

/** Jobs watched at a time in this process; past it whoever waits only looks now and then. */
const MAX_WATCHED = 10_000

/** Waits for changes of jobs, woken by a push. */
export class Watches {
  readonly #scheduler: Scheduler
  readonly #process: string
  readonly #clock: Clock
  readonly #watched = new Map<string, Set<() => void>>()
  readonly #deafen: () => void

  constructor({ scheduler, process, clock }: { scheduler: Scheduler; process: string; clock: Clock }) {
    this.#scheduler = scheduler
    this.#process = process
    this.#clock = clock
    this.#deafen = scheduler.onPush((push) => {
      if (push.kind === 'changed') for (const wake of this.#watched.get(push.job) ?? []) wake()
    })
  }

  /**
   * Hears of changes from now on; to be opened before the job is looked at, so that none is missed, and closed.
   * Throws StoreUnavailable.
   */
  async open(tenant: string, id: string): Promise<JobWatch> {
    const watch = new JobWatch(this.#clock, () => this.#close(id, wake))
    const wake = () => watch.wake()
    if (this.#watched.size < MAX_WATCHED || this.#watched.has(id)) {
      const watching = this.#watched.get(id) ?? new Set()
      this.#watched.set(id, watching.add(wake))
    }
    try {
      await this.#scheduler.watch(tenant, id, this.#process)
      return watch
    } catch (error) {
      watch[Symbol.dispose]()
      throw error
    }
  }

  #close(id: string, wake: () => void): void {
    const watching = this.#watched.get(id)
    watching?.delete(wake)
    if (watching?.size === 0) this.#watched.delete(id)
  }

  close(): void {
    this.#deafen()
  }
}

export class JobWatch implements Disposable {
  readonly #clock: Clock
  readonly #onClose: () => void
  #woken = new AbortController()

  constructor(clock: Clock, onClose: () => void) {
    this.#clock = clock
    this.#onClose = onClose
  }

  wake(): void {
    this.#woken.abort()
  }

  /** Resolves when the job may have changed, or after `ms`; rejects with the signal's reason. */
  async change(ms: number, signal: AbortSignal): Promise<void> {
    const waitMs = Math.min(ms, LOOK_MS)
    await this.#clock.sleep(waitMs, AbortSignal.any([signal, this.#woken.signal])).catch(() => {}) // woken, or left
    this.#woken = new AbortController()
    signal.throwIfAborted()
  }

  [Symbol.dispose](): void {
    this.#onClose()
  }
}
