import { LRUCache } from 'lru-cache'
import type { Clock } from '../kernel/clock.ts'
import { StoreUnavailable } from '../kernel/errors.ts'
import { MemoryLimiter } from './limiter.memory.ts'
import { bucketId, type Grant, type Limit, type Limiter } from './limiter.ts'

/** How many processes share a limit; 0 = never known. kernel/redis/census.ts is one. */
export interface ProcessCount {
  readonly size: number
}

export interface DegradingOptions {
  /** The shared one. */
  limiter: Limiter
  census: ProcessCount
  clock: Clock
  /** Refusals that are remembered at a time; past it the least recent is asked for again. */
  maxRefusals?: number
  /** Buckets of this process' own while the store is away. */
  maxBuckets?: number
}

/** A refusal that still stands. */
interface Refused {
  cost: number
  untilAt: number
  resetAt: number
  remaining: number
}

/**
 * A shared limiter that goes on without its store (DESIGN 8): each process then enforces its last known share, and
 * where it never knew how many they are, everything passes and says that it is degraded.
 * Each call tries the store first, whose breaker makes that free while it is away; so it comes back by itself.
 *
 * It also remembers refusals: a tenant that was refused is refused here until then, without a call (facts/queues.md
 * 3.3). That is exact for the same cost: others can only take tokens from a bucket, so none comes back earlier than the
 * refusal said; what is taken here meanwhile makes it forgotten.
 */
export class DegradingLimiter implements Limiter {
  readonly #limiter: Limiter
  readonly #census: ProcessCount
  readonly #clock: Clock
  readonly #local: MemoryLimiter
  readonly #refused: LRUCache<string, Refused>

  constructor({ limiter, census, clock, maxRefusals = 10_000, maxBuckets = 100_000 }: DegradingOptions) {
    this.#limiter = limiter
    this.#census = census
    this.#clock = clock
    this.#local = new MemoryLimiter({ clock, maxBuckets })
    this.#refused = new LRUCache({ max: maxRefusals })
  }

  async take(tenant: string, name: string, limit: Limit, cost = 1): Promise<Grant> {
    const id = bucketId(tenant, name, limit)
    const refused = this.#remembered(id, cost)
    if (refused) return refused
    try {
      const grant = await this.#limiter.take(tenant, name, limit, cost)
      if (grant.taken)
        this.#refused.delete(id) // it has moved every later refusal on
      else this.#remember(id, cost, grant)
      return grant
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      return this.#takeShare(tenant, name, limit, cost)
    }
  }

  #remembered(id: string, cost: number): Grant | null {
    const known = this.#refused.get(id)
    if (known?.cost !== cost) return null
    const nowAt = this.#clock.now()
    const { untilAt, resetAt, remaining } = known
    if (nowAt >= untilAt) {
      this.#refused.delete(id)
      return null
    }
    return { taken: false, remaining, retryAfterMs: untilAt - nowAt, resetMs: resetAt - nowAt, degraded: false }
  }

  #remember(id: string, cost: number, { retryAfterMs, resetMs, remaining }: Grant): void {
    const nowAt = this.#clock.now()
    this.#refused.set(id, { cost, untilAt: nowAt + retryAfterMs, resetAt: nowAt + resetMs, remaining })
  }

  #takeShare(tenant: string, name: string, limit: Limit, cost: number): Grant {
    const processes = this.#census.size
    if (processes === 0) return { taken: true, remaining: limit.capacity, retryAfterMs: 0, resetMs: 0, degraded: true }
    const share = shareOf(limit, processes)
    // A cost that the whole bucket bears and the share does not takes the whole share.
    const grant = this.#local.takeNow(tenant, name, share, Math.min(cost, share.capacity))
    return { ...grant, degraded: true }
  }
}

/** One process' part of a limit: at least one request at a time, so that no tenant is shut out. */
export const shareOf = ({ capacity, perSecond }: Limit, processes: number): Limit => ({
  capacity: Math.max(1, Math.floor(capacity / processes)),
  perSecond: perSecond / processes,
})
