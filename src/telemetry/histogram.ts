import type { Registry } from 'prom-client'

export interface HistogramOptions {
  name: string
  help: string
  labelNames: readonly string[]
  /** Upper bounds, ascending. */
  buckets: readonly number[]
}

/** One label set's counts. */
export class Cell {
  readonly labels: Readonly<Record<string, string>>
  readonly counts: Float64Array
  sum = 0
  readonly #bounds: readonly number[]

  constructor(labels: Readonly<Record<string, string>>, bounds: readonly number[]) {
    this.labels = labels
    this.#bounds = bounds
    this.counts = new Float64Array(bounds.length + 1)
  }

  observe(value: number): void {
    let at = 0
    while (at < this.#bounds.length && value > this.#bounds[at]!) at++
    this.counts[at]!++
    this.sum += value
  }
}

/**
 * A histogram for the hit path. prom-client's own sorts and joins the label values at every observation, about a
 * microsecond each; here a caller keeps the cell of its label set. To the registry it is a metric like any other.
 */
export class HotHistogram {
  readonly name: string
  readonly help: string
  readonly type = 'histogram'
  readonly aggregator = 'sum'
  readonly #buckets: readonly number[]
  readonly #labelNames: readonly string[]
  readonly #cells = new Map<string, Cell>()
  readonly #byValue = new Map<string, Cell>()

  constructor(options: HistogramOptions, registry: Registry) {
    this.name = options.name
    this.help = options.help
    this.#buckets = options.buckets
    this.#labelNames = options.labelNames
    registry.registerMetric(this as unknown as Parameters<Registry['registerMetric']>[0])
  }

  /** The same object for the same labels; to be kept by who observes. */
  cell(labels: Readonly<Record<string, string>>): Cell {
    const id = JSON.stringify(labels)
    const cell = this.#cells.get(id) ?? new Cell(labels, this.#buckets)
    this.#cells.set(id, cell)
    return cell
  }

  /** By the value of the one label, for metrics that have just one. */
  observe(value: string, seconds: number): void {
    let cell = this.#byValue.get(value)
    if (!cell) {
      cell = this.cell({ [this.#labelNames[0]!]: value })
      this.#byValue.set(value, cell)
    }
    cell.observe(seconds)
  }

  /** What prom-client's registry asks of a metric. Buckets are cumulative, as the exposition format wants them. */
  async get(): Promise<{ name: string; help: string; type: string; aggregator: string; values: Sample[] }> {
    const values = [...this.#cells.values()].flatMap((cell) => samples(this.name, cell, this.#buckets))
    return { name: this.name, help: this.help, type: this.type, aggregator: this.aggregator, values }
  }

  reset(): void {
    this.#cells.clear()
    this.#byValue.clear()
  }
}

interface Sample {
  metricName: string
  labels: Record<string, string | number>
  value: number
}

function samples(name: string, { labels, counts, sum }: Cell, bounds: readonly number[]): Sample[] {
  let total = 0
  const buckets = [...bounds, '+Inf' as const].map((le, at) => {
    total += counts[at]!
    return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: total }
  })
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels: { ...labels }, value: sum },
    { metricName: `${name}_count`, labels: { ...labels }, value: total },
  ]
}
