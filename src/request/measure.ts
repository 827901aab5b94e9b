import type { Compiled } from './compiled.ts'
import type { House } from './house.ts'

/** What is counted in the rooms and told to the metrics now and then. */
interface Told {
  evictedNear: number
  evictedFar: number
  overflows: number
}

/** Sets the gauges from the rooms' own numbers, and counts what they counted since the last time. */
export class Gauges {
  readonly #house: House
  readonly #told: Told = { evictedNear: 0, evictedFar: 0, overflows: 0 }

  constructor(house: House) {
    this.#house = house
  }

  /** @param processes gateways that share the store, as last known; 0 = never known */
  measure({ upstreams }: Compiled, processes: number): void {
    this.#cache()
    const { metrics, flights } = this.#house
    metrics.processes.set(processes)
    metrics.flightOverflows.inc(this.#since('overflows', flights.overflows))
    for (const upstream of upstreams.values()) {
      const { name, urls } = upstream.state()
      metrics.upstreamHealthy.set({ upstream: name }, urls.filter((url) => url.healthy).length)
    }
  }

  #cache(): void {
    const { metrics, cache } = this.#house
    const { nearBytes, nearEntries, near, far } = cache.stats()
    metrics.cacheBytes.set({ tier: 'near' }, nearBytes)
    metrics.cacheEntries.set({ tier: 'near' }, nearEntries)
    // With Redis as the far tier only Redis knows, and its own exporter tells.
    if (far.bytes !== undefined) metrics.cacheBytes.set({ tier: 'far' }, far.bytes)
    if (far.entries !== undefined) metrics.cacheEntries.set({ tier: 'far' }, far.entries)
    metrics.cacheEvictions.inc({ tier: 'near' }, this.#since('evictedNear', near.evicted))
    metrics.cacheEvictions.inc({ tier: 'far' }, this.#since('evictedFar', far.events.evicted))
  }

  #since(what: keyof Told, total: number): number {
    const more = total - this.#told[what]
    this.#told[what] = total
    return more
  }
}
