import type { Clock } from '../kernel/clock.ts'
import { rateOf } from '../kernel/gcra.ts'
import { luaScript } from '../kernel/redis/script.ts'
import type { RedisStore } from '../kernel/redis/store.ts'
import { bucketId, type Grant, type Limit, type Limiter } from './limiter.ts'

const gcra = luaScript(new URL('./scripts/gcra.lua', import.meta.url))

export type LimiterStore = Pick<RedisStore, 'run' | 'keys'>

/** Shared by every gateway: one string per bucket in use. Borrows its store. */
export class RedisLimiter implements Limiter {
  readonly #store: LimiterStore
  readonly #clock: Clock

  constructor({ store, clock }: { store: LimiterStore; clock: Clock }) {
    this.#store = store
    this.#clock = clock
  }

  async take(tenant: string, name: string, limit: Limit, cost = 1): Promise<Grant> {
    const { emissionUs, burst } = rateOf(limit)
    if (!(cost > 0 && cost <= burst))
      throw new RangeError(`a cost of ${cost} can never be taken from a bucket of ${burst}`)
    const key = this.#store.keys.of(tenant, 'limit', bucketId(tenant, name, limit))
    const args = [emissionUs, burst, cost, Math.floor(this.#clock.now()) * 1_000]
    return toGrant(await this.#store.run('limit', (redis) => gcra(redis, [key], args)))
  }
}

function toGrant(reply: unknown): Grant {
  const [taken, remaining, retryAfterMs, resetMs] = reply as [0 | 1, number, number, number]
  return { taken: taken === 1, remaining, retryAfterMs, resetMs, degraded: false }
}
