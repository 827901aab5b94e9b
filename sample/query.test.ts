import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseQuery, QueryInvalid } from './query.ts'
import { toStatement } from './sql.ts'

const count = [{ op: 'count' }]

describe('the query language', () => {
  test('fills in what is left out', () => {
    const { limit, slowMs, filters, orderBy, timeRange } = parseQuery({ dataset: 'sales', measures: count })
    assert.deepEqual(
      { limit, slowMs, filters, orderBy, timeRange },
      { limit: 1_000, slowMs: 0, filters: [], orderBy: [], timeRange: null },
    )
  })

  for (const [change, message, allowed] of [
    [{ dataset: 'orders' }, /^dataset: "orders" is not known/, ['sales', 'visits']],
    [{ dataset: '__proto__' }, /^dataset/, ['sales', 'visits']],
    [{ dataset: undefined }, /^dataset/, ['sales', 'visits']],
    [{ colour: 1 }, /^the query: 'colour' is not known/],
    [{ dimensions: ['city'] }, /^dimensions\[0\]: "city"/, ['region', 'product', 'channel', 'day', 'month']],
    [{ dimensions: ['region; DROP TABLE sales'] }, /^dimensions\[0\]/],
    [{ dimensions: 'region' }, /^dimensions: must be a list/],
    [{ dimensions: ['region', 'region'] }, /a column stands twice/],
    [{ measures: [] }, /one of both is needed/],
    [{ measures: [{ op: 'median', field: 'amount' }] }, /^measures\[0\].op/, ['sum', 'avg', 'count', 'min', 'max']],
    [{ measures: [{ op: 'sum' }] }, /^measures\[0\].field/, ['amount', 'units']],
    [{ measures: [{ op: 'sum', field: 'region' }] }, /^measures\[0\].field/, ['amount', 'units']],
    [
      { filters: [{ field: 'region', op: 'like', value: '%' }] },
      /^filters\[0\].op/,
      ['eq', 'ne', 'in', 'gt', 'gte', 'lt', 'lte'],
    ],
    [{ filters: [{ field: 'tenant', op: 'eq', value: 'globex' }] }, /^filters\[0\].field: "tenant"/],
    [{ filters: [{ field: 'region', op: 'eq', value: 5 }] }, /^filters\[0\].value: must be a string/],
    [{ filters: [{ field: 'units', op: 'gt', value: '5' }] }, /^filters\[0\].value: must be a number/],
    [{ filters: [{ field: 'region', op: 'in', value: [] }] }, /^filters\[0\].value: is empty/],
    [{ filters: [{ field: 'region', op: 'in', value: ['EMEA', 1] }] }, /^filters\[0\].value\[1\]/],
    [{ filters: [null] }, /^filters\[0\]: must be an object/],
    [{ timeRange: { from: '2026-02-30', to: '2026-03-01' } }, /^timeRange.from: must be a day/, 'YYYY-MM-DD'],
    [{ timeRange: { from: '2026-03-02', to: '2026-03-01' } }, /from is after to/],
    [{ timeRange: { from: '2026-03-02' } }, /^timeRange.to/],
    [{ orderBy: [{ column: 'amount' }] }, /^orderBy\[0\].column/, ['count']],
    [{ orderBy: [{ column: 'count', direction: 'down' }] }, /^orderBy\[0\].direction/, ['asc', 'desc']],
    [{ limit: 0 }, /^limit/, '1 to 10000'],
    [{ limit: 10_001 }, /^limit/, '1 to 10000'],
    [{ limit: 1.5 }, /^limit/, '1 to 10000'],
    [{ slowMs: 60_001 }, /^slowMs/, '0 to 60000'],
    [{ force: 'yes' }, /^force/, [true, false]],
    [{ comment: 'x'.repeat(201) }, /^comment/],
  ] as [Record<string, unknown>, RegExp, unknown?][]) {
    test(`${JSON.stringify(change).slice(0, 70)} is refused with what is allowed`, () => {
      assert.throws(
        () => parseQuery({ dataset: 'sales', measures: count, ...change }),
        (error) => {
          assert.ok(error instanceof QueryInvalid)
          assert.match(error.message, message)
          if (allowed !== undefined) assert.deepEqual(error.allowed, allowed)
          return error.allowed !== undefined
        },
      )
    })
  }

  for (const input of [null, [], 'x', 7]) {
    test(`${JSON.stringify(input)} is no query`, () =>
      assert.throws(() => parseQuery(input), /the query: must be an object/))
  }
})

test('a statement holds names of the catalogue only; values are parameters', () => {
  const query = parseQuery({
    dataset: 'sales',
    dimensions: ['region', 'month'],
    measures: [{ op: 'sum', field: 'amount' }, { op: 'count' }],
    filters: [
      { field: 'product', op: 'in', value: ["x' OR 1=1 --", 'anvil'] },
      { field: 'units', op: 'gte', value: 3 },
    ],
    timeRange: { from: '2026-01-01', to: '2026-01-31' },
    orderBy: [{ column: 'sum_amount', direction: 'desc' }],
    limit: 5,
  })
  assert.deepEqual(toStatement(query, { tenant: "a'b", regions: ['EMEA'] }), {
    sql:
      'SELECT region AS "region", substr(day, 1, 7) AS "month", ROUND(SUM(amount), 2) AS "sum_amount", COUNT(*) AS "count" ' +
      'FROM sales WHERE tenant = ? AND region IN (?) AND product IN (?, ?) AND units >= ? AND day BETWEEN ? AND ? ' +
      'GROUP BY 1, 2 ORDER BY "sum_amount" DESC, "region", "month" LIMIT 5',
    parameters: ["a'b", 'EMEA', "x' OR 1=1 --", 'anvil', 3, '2026-01-01', '2026-01-31'],
  })
})
