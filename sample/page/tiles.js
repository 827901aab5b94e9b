/** The twelve questions of the dashboard. */
const sum = (field) => [{ op: 'sum', field }]
const count = [{ op: 'count' }]
const year = { from: '2025-12-01', to: '2026-11-30' }
const autumn = { from: '2026-09-01', to: '2026-11-30' }
const top = (column, limit = 8) => ({ orderBy: [{ column, direction: 'desc' }], limit })

const sales = (title, kind, query) => ({ title, kind, query: { dataset: 'sales', timeRange: year, ...query } })
const visits = (title, kind, query) => ({ title, kind, query: { dataset: 'visits', timeRange: year, ...query } })

export const TILES = [
  sales('Revenue by month', 'line', { dimensions: ['month'], measures: sum('amount') }),
  sales('Revenue by region', 'bars', { dimensions: ['region'], measures: sum('amount') }),
  sales('Best products', 'bars', { dimensions: ['product'], measures: sum('amount'), ...top('sum_amount') }),
  sales('Revenue by channel', 'bars', { dimensions: ['channel'], measures: sum('amount') }),
  sales('Units by month', 'line', { dimensions: ['month'], measures: sum('units') }),
  sales('Average sale by product', 'bars', { dimensions: ['product'], measures: [{ op: 'avg', field: 'amount' }] }),
  sales('Sales per day, autumn', 'line', { dimensions: ['day'], measures: count, timeRange: autumn }),
  sales('Online revenue by month', 'line', {
    dimensions: ['month'],
    measures: sum('amount'),
    filters: [{ field: 'channel', op: 'eq', value: 'online' }],
  }),
  visits('Views by page', 'bars', { dimensions: ['page'], measures: sum('views'), ...top('sum_views') }),
  visits('Views by device', 'bars', { dimensions: ['device'], measures: sum('views') }),
  visits('Views by month', 'line', { dimensions: ['month'], measures: sum('views') }),
  visits('Seconds by region', 'bars', { dimensions: ['region'], measures: sum('seconds') }),
]
