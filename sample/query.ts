import { DATASETS, type Dataset, type Field } from './catalog.ts'

/**
 * The query language of the sample API. Everything is checked against the catalogue before any SQL is made:
 *
 *   { "dataset": "sales", "dimensions": ["region"], "measures": [{ "op": "sum", "field": "amount" }],
 *     "filters": [{ "field": "channel", "op": "in", "value": ["online", "retail"] }],
 *     "timeRange": { "from": "2026-01-01", "to": "2026-06-30" },
 *     "orderBy": [{ "column": "sum_amount", "direction": "desc" }], "limit": 10, "slowMs": 500 }
 */
export const MEASURE_OPS = ['sum', 'avg', 'count', 'min', 'max'] as const
export const FILTER_OPS = ['eq', 'ne', 'in', 'gt', 'gte', 'lt', 'lte'] as const
const DIRECTIONS = ['asc', 'desc'] as const
const FIELDS = [
  'dataset',
  'dimensions',
  'measures',
  'filters',
  'timeRange',
  'orderBy',
  'limit',
  'slowMs',
  'force',
  'comment',
]

export const MAX_LIMIT = 10_000
export const MAX_SLOW_MS = 60_000
const MAX_ITEMS = 20
const MAX_IN_VALUES = 500
const MAX_TEXT_CHARS = 200

export interface Measure {
  readonly op: (typeof MEASURE_OPS)[number]
  /** Absent for a count of rows. */
  readonly field?: string
}

export interface Filter {
  readonly field: string
  readonly op: (typeof FILTER_OPS)[number]
  readonly values: readonly (string | number)[]
}

export interface Order {
  readonly column: string
  readonly direction: (typeof DIRECTIONS)[number]
}

export interface Query {
  readonly dataset: Dataset
  readonly dimensions: readonly string[]
  readonly measures: readonly Measure[]
  readonly filters: readonly Filter[]
  readonly timeRange: { readonly from: string; readonly to: string } | null
  readonly orderBy: readonly Order[]
  readonly limit: number
  /** How much longer the answer shall take, ms. */
  readonly slowMs: number
}

/** The query is wrong; says where, and what is allowed there. Answered with 400. */
export class QueryInvalid extends Error {
  override readonly name = 'QueryInvalid'
  readonly allowed: unknown

  constructor(message: string, allowed: unknown) {
    super(message)
    this.allowed = allowed
  }
}

/** What a measure's column is called in the answer. */
export const columnOf = ({ op, field }: Measure): string => (field === undefined ? op : `${op}_${field}`)

/** Throws QueryInvalid. `force` and `comment` are for gateways in front: accepted, and without effect here. */
export function parseQuery(input: unknown): Query {
  const given = object(input, 'the query', FIELDS)
  const dataset = DATASETS[oneOf(given.dataset, 'dataset', Object.keys(DATASETS))]!
  const dimensions = list(given.dimensions, 'dimensions').map((name, i) =>
    oneOf(name, `dimensions[${i}]`, Object.keys(dataset.dimensions)),
  )
  const measures = list(given.measures, 'measures').map((measure, i) =>
    parseMeasure(measure, `measures[${i}]`, dataset),
  )
  const columns = [...dimensions, ...measures.map(columnOf)]
  if (columns.length === 0)
    throw new QueryInvalid('dimensions and measures: one of both is needed', 'at least one column')
  if (new Set(columns).size < columns.length)
    throw new QueryInvalid('dimensions and measures: a column stands twice', 'each once')
  if (given.force !== undefined) oneOf(given.force, 'force', [true, false])
  if (given.comment !== undefined) text(given.comment, 'comment')
  return {
    dataset,
    dimensions,
    measures,
    filters: list(given.filters, 'filters').map((filter, i) => parseFilter(filter, `filters[${i}]`, dataset)),
    timeRange: given.timeRange === undefined ? null : parseTimeRange(given.timeRange),
    orderBy: list(given.orderBy, 'orderBy').map((order, i) => parseOrder(order, `orderBy[${i}]`, columns)),
    limit: whole(given.limit, 'limit', { min: 1, max: MAX_LIMIT, fallback: 1_000 }),
    slowMs: whole(given.slowMs, 'slowMs', { min: 0, max: MAX_SLOW_MS, fallback: 0 }),
  }
}

function parseMeasure(input: unknown, at: string, dataset: Dataset): Measure {
  const given = object(input, at, ['op', 'field'])
  const op = oneOf(given.op, `${at}.op`, MEASURE_OPS)
  if (op === 'count' && given.field === undefined) return { op }
  return { op, field: oneOf(given.field, `${at}.field`, Object.keys(dataset.numbers)) }
}

function parseFilter(input: unknown, at: string, dataset: Dataset): Filter {
  const given = object(input, at, ['field', 'op', 'value'])
  const fields: Readonly<Record<string, Field>> = { ...dataset.dimensions, ...dataset.numbers }
  const field = oneOf(given.field, `${at}.field`, Object.keys(fields))
  const op = oneOf(given.op, `${at}.op`, FILTER_OPS)
  const { kind } = fields[field]!
  if (op !== 'in') return { field, op, values: [fieldValue(given.value, `${at}.value`, kind)] }
  const values = list(given.value, `${at}.value`, MAX_IN_VALUES)
  if (values.length === 0) throw new QueryInvalid(`${at}.value: is empty`, `1 to ${MAX_IN_VALUES} values`)
  return { field, op, values: values.map((value, i) => fieldValue(value, `${at}.value[${i}]`, kind)) }
}

function parseTimeRange(input: unknown): { from: string; to: string } {
  const given = object(input, 'timeRange', ['from', 'to'])
  const [from, to] = [day(given.from, 'timeRange.from'), day(given.to, 'timeRange.to')]
  if (from > to) throw new QueryInvalid('timeRange: from is after to', 'from <= to; both days are inside')
  return { from, to }
}

function parseOrder(input: unknown, at: string, columns: readonly string[]): Order {
  const given = object(input, at, ['column', 'direction'])
  const direction = given.direction === undefined ? 'asc' : oneOf(given.direction, `${at}.direction`, DIRECTIONS)
  return { column: oneOf(given.column, `${at}.column`, columns), direction }
}

function object(input: unknown, at: string, allowed: readonly string[]): Record<string, unknown> {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new QueryInvalid(`${at}: must be an object`, allowed)
  }
  const unknown = Object.keys(input).find((key) => !allowed.includes(key))
  if (unknown !== undefined) throw new QueryInvalid(`${at}: '${unknown.slice(0, 64)}' is not known`, allowed)
  return input as Record<string, unknown>
}

function list(input: unknown, at: string, max = MAX_ITEMS): unknown[] {
  if (input === undefined) return []
  if (!Array.isArray(input) || input.length > max)
    throw new QueryInvalid(`${at}: must be a list`, `at most ${max} items`)
  return input
}

function oneOf<const T>(input: unknown, at: string, allowed: readonly T[]): T {
  const found = allowed.find((value) => value === input)
  if (found === undefined) throw new QueryInvalid(`${at}: ${JSON.stringify(input)?.slice(0, 64)} is not known`, allowed)
  return found
}

function whole(
  input: unknown,
  at: string,
  { min, max, fallback }: { min: number; max: number; fallback: number },
): number {
  if (input === undefined) return fallback
  if (typeof input === 'number' && Number.isInteger(input) && input >= min && input <= max) return input
  throw new QueryInvalid(`${at}: must be a whole number`, `${min} to ${max}`)
}

function text(input: unknown, at: string): string {
  if (typeof input === 'string' && input.length <= MAX_TEXT_CHARS) return input
  throw new QueryInvalid(`${at}: must be a string`, `at most ${MAX_TEXT_CHARS} characters`)
}

/** 'YYYY-MM-DD' of a day that exists. */
function day(input: unknown, at: string): string {
  const given = text(input, at)
  const atMs = /^\d{4}-\d\d-\d\d$/.test(given) ? Date.parse(given) : Number.NaN
  if (Number.isFinite(atMs) && new Date(atMs).toISOString().startsWith(given)) return given
  throw new QueryInvalid(`${at}: must be a day`, 'YYYY-MM-DD')
}

function fieldValue(input: unknown, at: string, kind: Field['kind']): string | number {
  if (kind === 'date') return day(input, at)
  if (kind === 'text') return text(input, at)
  if (typeof input === 'number' && Number.isFinite(input)) return input
  throw new QueryInvalid(`${at}: must be a number`, 'a finite number')
}
