import type { Clock } from '../kernel/clock.ts'
import { StoreUnavailable } from '../kernel/errors.ts'
import { LEASE_MS, type LeaseRef, type LeaseState, type Scheduler } from './scheduler.ts'

/** After an outage the tries come closer, ms. */
const AGAIN_MS = 1_000

export interface LeasesOptions {
  scheduler: Scheduler
  clock: Clock
  /** What the store said of one of them, where that is not `held`. */
  onState: (ref: LeaseRef, state: LeaseState) => void
  leaseMs?: number
}

/**
 * Everything that this process holds or waits for, kept alive by one call per third of a lease, whatever there is. An
 * outage ends none of them here: whoever comes too late is refused by his fencing token.
 */
export class Leases {
  readonly #options: LeasesOptions
  readonly #refs = new Map<string, LeaseRef>()
  readonly #closing = new AbortController()
  #loop: Promise<void> | undefined

  constructor(options: LeasesOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#refs.size
  }

  hold(ref: LeaseRef): void {
    this.#refs.set(nameOf(ref), ref)
    this.#loop ??= this.#keepAlive()
  }

  /** It has been given back, or is to run out. */
  drop(ref: Pick<LeaseRef, 'id' | 'fence'>): void {
    this.#refs.delete(nameOf(ref))
  }

  async #keepAlive(): Promise<void> {
    const { clock, leaseMs = LEASE_MS } = this.#options
    let pauseMs = leaseMs / 3
    const { signal } = this.#closing
    while (
      await clock.sleep(pauseMs, signal).then(
        () => true,
        () => false,
      )
    ) {
      pauseMs = (await this.#extend()) ? leaseMs / 3 : Math.min(AGAIN_MS, leaseMs / 3)
    }
  }

  /** False when the store is away. */
  async #extend(): Promise<boolean> {
    const refs = [...this.#refs.values()]
    if (refs.length === 0) return true
    try {
      const states = await this.#options.scheduler.extend(refs)
      for (const [at, ref] of refs.entries()) this.#tell(ref, states[at]!)
      return true
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      return false
    }
  }

  #tell(ref: LeaseRef, state: LeaseState): void {
    if (state === 'held' || this.#refs.get(nameOf(ref)) !== ref) return // given back meanwhile
    if (state === 'lost') this.drop(ref)
    this.#options.onState(ref, state)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#loop
  }
}

const nameOf = ({ id, fence }: Pick<LeaseRef, 'id' | 'fence'>): string => `${id} ${fence}`
