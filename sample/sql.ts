import type { Dataset } from './catalog.ts'
import { columnOf, type Filter, type Measure, type Order, type Query } from './query.ts'

export interface Statement {
  readonly sql: string
  readonly parameters: readonly (string | number)[]
}

/** Whose rows may be seen. `regions` empty = all of the tenant's. */
export interface Scope {
  readonly tenant: string
  readonly regions: readonly string[]
}

interface Condition {
  readonly sql: string
  readonly parameters: readonly (string | number)[]
}

const COMPARISONS = { eq: '=', ne: '<>', gt: '>', gte: '>=', lt: '<', lte: '<=' } as const

/** Identifiers come from the catalogue, values go in as parameters: nothing of the caller's stands in the statement. */
export function toStatement(query: Query, scope: Scope): Statement {
  const { dataset, dimensions, measures, limit } = query
  const columns = [
    ...dimensions.map((name) => `${dataset.dimensions[name]!.sql} AS "${name}"`),
    ...measures.map((measure) => `${aggregate(measure, dataset)} AS "${columnOf(measure)}"`),
  ]
  const conditions = [
    ...scopeConditions(scope),
    ...query.filters.map((filter) => condition(filter, dataset)),
    ...timeConditions(query),
  ]
  const groups = dimensions.length > 0 ? ` GROUP BY ${positions(dimensions)}` : ''
  const where = conditions.map(({ sql }) => sql).join(' AND ')
  return {
    sql: `SELECT ${columns.join(', ')} FROM ${dataset.table} WHERE ${where}${groups}${ordering(query)} LIMIT ${limit}`,
    parameters: conditions.flatMap(({ parameters }) => parameters),
  }
}

function scopeConditions({ tenant, regions }: Scope): Condition[] {
  const own: Condition = { sql: 'tenant = ?', parameters: [tenant] }
  return regions.length === 0 ? [own] : [own, among('region', regions)]
}

function timeConditions({ timeRange }: Query): Condition[] {
  return timeRange === null ? [] : [{ sql: 'day BETWEEN ? AND ?', parameters: [timeRange.from, timeRange.to] }]
}

function condition({ field, op, values }: Filter, dataset: Dataset): Condition {
  const { sql } = (dataset.dimensions[field] ?? dataset.numbers[field])!
  return op === 'in' ? among(sql, values) : { sql: `${sql} ${COMPARISONS[op]} ?`, parameters: values }
}

const among = (sql: string, values: readonly (string | number)[]): Condition => ({
  sql: `${sql} IN (${values.map(() => '?').join(', ')})`,
  parameters: values,
})

function aggregate({ op, field }: Measure, dataset: Dataset): string {
  if (field === undefined) return 'COUNT(*)'
  const call = `${op.toUpperCase()}(${dataset.numbers[field]!.sql})`
  return op === 'sum' || op === 'avg' ? `ROUND(${call}, 2)` : call // sums of floats end in noise
}

/** The dimensions break ties, so that the same query always gives the same rows in the same order. */
function ordering({ orderBy, dimensions }: Query): string {
  const asked = orderBy.map(({ column, direction }: Order) => `"${column}" ${direction.toUpperCase()}`)
  const orders = [...asked, ...dimensions.map((name) => `"${name}"`)]
  return orders.length > 0 ? ` ORDER BY ${orders.join(', ')}` : ''
}

const positions = (list: readonly unknown[]): string => list.map((_, i) => i + 1).join(', ')
