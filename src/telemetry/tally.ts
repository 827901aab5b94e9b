import type { Cell } from './histogram.ts'
import type { Metrics, Outcome } from './metrics.ts'

/** What has been counted of one tenant, route and outcome since the counter was last told. */
interface Row {
  labels: { tenant: string; route: string; outcome: Outcome }
  requests: number
  seconds: Cell
}

/**
 * Counts finished requests in plain numbers and tells the metrics when they are looked at: two label sets hashed per
 * request would be a tenth of a hit.
 */
export class Tally {
  readonly #metrics: Metrics
  readonly #rows = new Map<string, Map<string, Map<Outcome, Row>>>()

  constructor(metrics: Metrics) {
    this.#metrics = metrics
    metrics.requests.onCollect(() => this.#tell())
  }

  count(tenant: string, route: string, outcome: Outcome, seconds: number): void {
    const row = this.#rows.get(tenant)?.get(route)?.get(outcome) ?? this.#make(tenant, route, outcome)
    row.requests++
    row.seconds.observe(seconds)
  }

  #tell(): void {
    for (const routes of this.#rows.values()) {
      for (const outcomes of routes.values()) {
        for (const row of outcomes.values()) {
          if (row.requests > 0) this.#metrics.requests.counter.inc(row.labels, row.requests)
          row.requests = 0
        }
      }
    }
  }

  #make(tenant: string, route: string, outcome: Outcome): Row {
    const seconds = this.#metrics.requestSeconds.cell({ route, outcome })
    const row = { labels: { tenant, route, outcome }, requests: 0, seconds }
    const routes = this.#rows.get(tenant) ?? new Map<string, Map<Outcome, Row>>()
    const outcomes = routes.get(route) ?? new Map<Outcome, Row>()
    this.#rows.set(tenant, routes.set(route, outcomes.set(outcome, row)))
    return row
  }
}
