import { LRUCache } from 'lru-cache'
import type { Lock } from 'redlock'
import { type Clock, systemClock } from '../kernel/clock.ts'
import { decodeNews } from '../kernel/news.ts'
import type { Fleet, FlightPlace, Landing, Lease, Watch } from './fleet.ts'
import { RedisLease } from './lease.redis.ts'
import { type FlightStore, Locks } from './lock.ts'
import { RECHECK_MS, RedisWatch, recheckMs } from './watch.redis.ts'

/** Keys watched in vain that are remembered, to tell a takeover from a first flight. */
const MAX_VAIN = 4_096

export interface RedisFleetOptions {
  store: FlightStore
  /**
   * How long one process may hold a key's flight after its last sign of life, ms; extended every third of it.
   * Shorter: a short pause of the leader makes a second one. Longer: followers of a killed leader wait longer.
   */
  leaseMs?: number
  /** Independent Redis masters for Redlock; none: the store's own Redis. */
  lockUrls?: readonly string[]
  /** A lock command on one of `lockUrls` that has not been answered after this many ms is a vote against. */
  lockTimeoutMs?: number
  clock?: Clock
  random?: () => number
  /** A lease was obtained after its key had been watched in vain: its leader fell silent. */
  onTakeover?: (place: FlightPlace) => void
}

/**
 * One lease per key over all processes (DESIGN 5). Order: hear → try → wait for the push, with a re-check because
 * pub/sub may drop. News name a key, not a flight: what is heard may be of the flight before, which ended this instant;
 * that is as good a reason to look, and as fresh a failure to share. Borrows its store; owns the connections to `lockUrls`.
 */
export class RedisFleet implements Fleet, AsyncDisposable {
  readonly #store: FlightStore
  readonly #locks: Locks
  readonly #leaseMs: number
  readonly #clock: Clock
  readonly #random: () => number
  readonly #onTakeover: (place: FlightPlace) => void
  readonly #watches = new Map<string, Set<RedisWatch>>()
  readonly #vain: LRUCache<string, true>
  readonly #deafen: (() => void)[]

  constructor(options: RedisFleetOptions) {
    const { store, leaseMs = 5_000, lockUrls = [], lockTimeoutMs = 50 } = options
    this.#store = store
    this.#leaseMs = leaseMs
    this.#locks = new Locks({ store, leaseMs, lockUrls, lockTimeoutMs })
    this.#clock = options.clock ?? systemClock
    this.#random = options.random ?? Math.random
    this.#onTakeover = options.onTakeover ?? (() => {})
    // Whoever follows a silent leader does so within a lease; what comes later is a flight of its own.
    this.#vain = new LRUCache({ max: MAX_VAIN, ttl: leaseMs + RECHECK_MS })
    this.#deafen = [store.bus.listen((message) => this.#hear(message)), store.bus.onGap(() => this.#gap())]
  }

  async depart(place: FlightPlace): Promise<Lease | Watch> {
    const watch = this.#arm(place)
    try {
      const leaseKey = this.#store.keys.of(place.tenant, 'lease', place.key)
      const lock = await this.#locks.acquire(leaseKey)
      if (lock) return this.#lead(place, lock, watch)
      watch.lookIn(recheckMs(await this.#locks.leftMs(leaseKey), this.#random()))
      return watch
    } catch (error) {
      watch.close()
      throw error
    }
  }

  #lead(place: FlightPlace, lock: Lock, watch: RedisWatch): Lease {
    watch.close()
    if (this.#vain.delete(place.key)) this.#onTakeover(place)
    return new RedisLease(place, lock, {
      store: this.#store,
      locks: this.#locks,
      clock: this.#clock,
      leaseMs: this.#leaseMs,
    })
  }

  #arm(place: FlightPlace): RedisWatch {
    const { key } = place
    const watching = this.#watches.get(key) ?? new Set<RedisWatch>()
    this.#watches.set(key, watching)
    const watch = new RedisWatch(place, {
      clock: this.#clock,
      onClose: () => {
        watching.delete(watch)
        if (watching.size === 0 && this.#watches.get(key) === watching) this.#watches.delete(key)
      },
      onVain: () => this.#vain.set(key, true),
    })
    watching.add(watch)
    return watch
  }

  #hear(message: string): void {
    const news = decodeNews(message)
    if (news?.kind !== 'filled' && news?.kind !== 'landed') return
    this.#vain.delete(news.key)
    const how = news.kind === 'filled' ? 'filled' : news.how
    for (const watch of this.#watches.get(news.key) ?? []) void this.#tell(watch, how)
  }

  async #tell(watch: RedisWatch, how: Landing['how']): Promise<void> {
    if (how !== 'failed') return watch.hear({ how })
    const note = await this.#note(watch.place)
    watch.hear(note ? { how, note } : { how })
  }

  /** Null where there is none, and where the store cannot be asked: a follower can do without it. */
  async #note({ tenant, key }: FlightPlace): Promise<Buffer | null> {
    const noteKey = this.#store.keys.of(tenant, 'note', key)
    return this.#store.run('note', (redis) => redis.getBuffer(noteKey)).catch(() => null)
  }

  #gap(): void {
    for (const watching of this.#watches.values()) for (const watch of watching) watch.gap()
  }

  /** Stops hearing; leases that are still held run out or are landed by their holders. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const stop of this.#deafen) stop()
    this.#gap()
    this.#locks.close()
  }
}
