import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { DATASETS, FIRST_DAY, LAST_DAY } from './catalog.ts'
import { openSampleData } from './data.ts'
import { columnOf, FILTER_OPS, MEASURE_OPS, type Query } from './query.ts'
import { toStatement } from './sql.ts'

export interface Result {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly SQLOutputValue[])[]
  readonly rowCount: number
  readonly tookMs: number
  /** The how manieth query since the start: a gateway in front makes it grow more slowly than the requests. */
  readonly query: number
}

/** Answers queries over the sample data, within what the caller may see. */
export class QueryService {
  readonly #db: DatabaseSync = openSampleData()
  #queries = 0
  #aborted = 0

  get stats(): { queries: number; aborted: number } {
    return { queries: this.#queries, aborted: this.#aborted }
  }

  /** Rejects with the signal's reason when the client leaves during `slowMs`. */
  async run(query: Query, tenant: string, principal: string, signal: AbortSignal): Promise<Result> {
    const number = ++this.#queries
    const startedAt = performance.now()
    try {
      if (query.slowMs > 0) await delay(query.slowMs, undefined, { signal })
    } catch (error) {
      this.#aborted++
      throw error
    }
    const { sql, parameters } = toStatement(query, { tenant, regions: this.#regionsOf(tenant, principal) })
    const rows = this.#db
      .prepare(sql)
      .all(...parameters)
      .map((row) => Object.values(row))
    const tookMs = Math.round(performance.now() - startedAt)
    const columns = [...query.dimensions, ...query.measures.map(columnOf)]
    return { columns, rows, rowCount: rows.length, tookMs, query: number }
  }

  describe() {
    return Object.entries(DATASETS).map(([name, { dimensions, numbers }]) => ({
      name,
      dimensions: Object.keys(dimensions),
      measures: { ops: MEASURE_OPS, fields: Object.keys(numbers) },
      filterOps: FILTER_OPS,
      timeRange: { from: FIRST_DAY, to: LAST_DAY },
    }))
  }

  close(): void {
    this.#db.close()
  }

  #regionsOf(tenant: string, principal: string): string[] {
    const rules = this.#db.prepare('SELECT region FROM row_rules WHERE tenant = ? AND principal = ? ORDER BY region')
    return rules.all(tenant, principal).map((row) => String(row.region))
  }
}
