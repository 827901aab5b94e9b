import type { Metrics, Outcome } from './metrics.ts'

interface Cell {
  requests: { inc(n?: number): void }
  seconds: { observe(value: number): void }
}

/** Counts finished requests without building label objects on the hit path: one cell per tenant, route and outcome. */
export class Tally {
  readonly #metrics: Metrics
  readonly #cells = new Map<string, Map<string, Map<Outcome, Cell>>>()

  constructor(metrics: Metrics) {
    this.#metrics = metrics
  }

  count(tenant: string, route: string, outcome: Outcome, seconds: number): void {
    const cell = this.#cells.get(tenant)?.get(route)?.get(outcome) ?? this.#make(tenant, route, outcome)
    cell.requests.inc()
    cell.seconds.observe(seconds)
  }

  #make(tenant: string, route: string, outcome: Outcome): Cell {
    const cell = {
      requests: this.#metrics.requests.labels(tenant, route, outcome),
      seconds: this.#metrics.requestSeconds.labels(route, outcome),
    }
    const routes = this.#cells.get(tenant) ?? new Map<string, Map<Outcome, Cell>>()
    const outcomes = routes.get(route) ?? new Map<Outcome, Cell>()
    this.#cells.set(tenant, routes.set(route, outcomes.set(outcome, cell)))
    return cell
  }
}
