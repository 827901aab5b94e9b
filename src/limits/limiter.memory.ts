import { LRUCache } from 'lru-cache'
import type { Clock } from '../kernel/clock.ts'
import { FULL, type Rate, rateOf, type Taking, take } from '../kernel/gcra.ts'
import { bucketId, type Grant, type Limit, type Limiter } from './limiter.ts'

/** For one process. Buckets past `maxBuckets` are forgotten, the least recently used first: they come back full. */
export class MemoryLimiter implements Limiter {
  readonly #clock: Clock
  readonly #tats: LRUCache<string, number>
  #evictions = 0

  constructor({ clock, maxBuckets = 100_000 }: { clock: Clock; maxBuckets?: number }) {
    this.#clock = clock
    this.#tats = new LRUCache({
      max: maxBuckets,
      dispose: (_tat, _id, reason) => {
        if (reason === 'evict') this.#evictions++
      },
    })
  }

  /** Buckets that were forgotten because `maxBuckets` were in use. */
  get evictions(): number {
    return this.#evictions
  }

  async take(tenant: string, name: string, limit: Limit, cost = 1): Promise<Grant> {
    return this.takeNow(tenant, name, limit, cost)
  }

  /** From a bucket by its own id: for who has asked for the rate himself (the scheduler's door). */
  takeFrom(id: string, rate: Rate, nowAt: number): Taking {
    const taking = take(this.#tats.get(id) ?? FULL, nowAt, rate, 1)
    if (taking.allowed) this.#tats.set(id, taking.newTat)
    return taking
  }

  /** The same, for callers that may not wait. */
  takeNow(tenant: string, name: string, limit: Limit, cost = 1): Grant {
    const id = bucketId(tenant, name, limit)
    const taking = take(this.#tats.get(id) ?? FULL, this.#clock.now(), rateOf(limit), cost)
    if (taking.allowed) this.#tats.set(id, taking.newTat)
    const { allowed: taken, remaining, retryAfterMs, resetMs } = taking
    return { taken, remaining, retryAfterMs, resetMs, degraded: false }
  }
}
