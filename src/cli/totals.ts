import { AggregatorRegistry } from 'prom-client'

/** One metric as `Registry.getMetricsAsJSON` gives it. */
export interface MetricJson {
  name: string
  type: unknown
  values: unknown[]
}

/** The metrics of several processes as one registry; how they go together each metric says itself (`aggregator`). */
export const addedUp = (all: readonly (readonly MetricJson[])[]) => AggregatorRegistry.aggregate([...all])

/**
 * What processes that have ended had counted. It stays in the sums: a counter that falls says to Prometheus that it
 * began anew, and all that the others have counted would look new. Gauges end with their process.
 */
export class Departed {
  #metrics: readonly MetricJson[] = []

  get metrics(): readonly MetricJson[] {
    return this.#metrics
  }

  add(metrics: readonly MetricJson[]): void {
    const counted = metrics.filter(({ type }) => type === 'counter' || type === 'histogram')
    this.#metrics = addedUp([this.#metrics, counted]).getMetricsAsArray() as unknown as MetricJson[]
  }
}
