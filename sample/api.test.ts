import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type SampleApi, startSampleApi } from './api.ts'
import { openSampleData } from './data.ts'
import { TILES } from './page/tiles.js'

interface Answer {
  status: number
  columns: string[]
  rows: (string | number)[][]
  rowCount: number
  tookMs: number
  query: number
  error?: string
  allowed?: unknown
}

const BY_REGION = {
  dataset: 'sales',
  dimensions: ['region'],
  measures: [{ op: 'sum', field: 'amount' }, { op: 'count' }],
}

describe('the sample API', () => {
  let api: SampleApi
  before(async () => {
    api = await startSampleApi()
  })
  after(() => api.close())

  const post = (body: unknown, headers: Record<string, string>, signal?: AbortSignal) =>
    fetch(`${api.url}/api/query`, {
      method: 'POST',
      body: typeof body === 'string' ? body : JSON.stringify(body),
      headers,
      ...(signal && { signal }),
    })

  const ask = async (body: unknown, tenant = 'acme', principal = 'chief'): Promise<Answer> => {
    const response = await post(body, { 'x-tenant-id': tenant, 'x-principal-id': principal })
    return { status: response.status, ...((await response.json()) as Omit<Answer, 'status'>) }
  }

  test('answers with columns, rows, their count, the time it took and a running number', async () => {
    const before = api.queries
    const { columns, rows, rowCount, tookMs, query } = await ask(BY_REGION)
    assert.deepEqual(columns, ['region', 'sum_amount', 'count'])
    assert.deepEqual(
      rows.map((row) => row[0]),
      ['AMER', 'APAC', 'EMEA'],
    )
    assert.equal(
      rows.reduce((sum, row) => sum + Number(row[2]), 0),
      60_000,
    )
    assert.equal(rowCount, 3)
    assert.ok(tookMs >= 0)
    assert.equal(query, before + 1)
    assert.equal(api.queries, before + 1)
  })

  test('shows two people of one tenant different rows of the same query', async () => {
    const { rows: all } = await ask(BY_REGION, 'acme', 'chief')
    const { rows: ana } = await ask(BY_REGION, 'acme', 'ana')
    const { rows: ben } = await ask(BY_REGION, 'acme', 'ben')
    assert.deepEqual(
      ana,
      all.filter((row) => row[0] === 'EMEA'),
    )
    assert.deepEqual(
      ben,
      all.filter((row) => row[0] !== 'EMEA'),
    )
  })

  test('does not let a filter reach past the rules', async () => {
    const filters = [{ field: 'region', op: 'in', value: ['EMEA', 'AMER'] }]
    const { rows } = await ask({ ...BY_REGION, filters }, 'acme', 'ana')
    assert.deepEqual(
      rows.map((row) => row[0]),
      ['EMEA'],
    )
  })

  test('keeps a rule to its tenant: ana of globex is not ana of acme', async () => {
    assert.equal((await ask(BY_REGION, 'globex', 'ana')).rowCount, 3)
  })

  test('shows tenants their own rows, and a stranger none', async () => {
    const [acme, globex, stranger] = await Promise.all(
      ['acme', 'globex', 'nobody'].map((tenant) => ask(BY_REGION, tenant, '')),
    )
    assert.notDeepEqual(acme!.rows, globex!.rows)
    assert.equal(stranger!.rowCount, 0)
  })

  test('filters, orders, limits and ranges', async () => {
    const query = {
      dataset: 'sales',
      dimensions: ['month'],
      measures: [
        { op: 'max', field: 'units' },
        { op: 'avg', field: 'amount' },
      ],
      filters: [
        { field: 'units', op: 'lte', value: 5 },
        { field: 'channel', op: 'ne', value: 'retail' },
      ],
      timeRange: { from: '2026-01-01', to: '2026-04-30' },
      orderBy: [{ column: 'month', direction: 'desc' }],
      limit: 3,
    }
    const { rows } = await ask(query)
    assert.deepEqual(
      rows.map((row) => row.slice(0, 2)),
      [
        ['2026-04', 5],
        ['2026-03', 5],
        ['2026-02', 5],
      ],
    )
  })

  test('answers every tile of the dashboard with rows', async () => {
    for (const { title, query } of TILES) {
      const { status, rowCount } = await ask(query)
      assert.deepEqual([title, status, rowCount > 0], [title, 200, true])
    }
  })

  test('is closed to whoever comes without a tenant', async () => {
    const response = await post(BY_REGION, {})
    assert.equal(response.status, 403)
    assert.match(await response.text(), /through the gateway/)
  })

  test('says what is wrong with a query, and what is allowed', async () => {
    const before = api.queries
    const { status, error, allowed } = await ask({ ...BY_REGION, dataset: 'x' })
    assert.deepEqual(
      { status, error, allowed },
      { status: 400, error: 'dataset: "x" is not known', allowed: ['sales', 'visits'] },
    )
    assert.equal((await ask('{')).status, 400)
    assert.equal((await ask(`"${'x'.repeat(1024 ** 2)}"`)).status, 413)
    assert.equal(api.queries, before)
  })

  test('stops a slow query when its client leaves', async (t) => {
    const [queries, aborted] = [api.queries, api.aborted]
    const leaving = new AbortController()
    const headers = { 'x-tenant-id': 'acme' }
    const asked = post({ ...BY_REGION, slowMs: 60_000 }, headers, leaving.signal)
    await t.waitFor(() => assert.equal(api.queries, queries + 1))
    leaving.abort()
    await assert.rejects(asked)
    await t.waitFor(() => assert.equal(api.aborted, aborted + 1))
  })

  for (const [path, type] of [
    ['/', 'text/html'],
    ['/assets/dashboard.css', 'text/css'],
    ['/assets/dashboard.js', 'text/javascript'],
    ['/assets/charts.js', 'text/javascript'],
    ['/assets/tiles.js', 'text/javascript'],
    ['/health', 'application/json'],
    ['/api/datasets', 'application/json'],
    ['/demo/stats', 'application/json'],
    ['/demo/tokens.json', 'application/json'],
  ] as const) {
    test(`GET ${path} is ${type}`, async () => {
      const response = await fetch(api.url + path)
      assert.equal(response.status, 200)
      assert.ok(response.headers.get('content-type')!.startsWith(type))
      await response.arrayBuffer()
    })
  }

  for (const [method, path, status] of [
    ['GET', '/nothing', 404],
    ['GET', '/assets/../api.ts', 404],
    ['GET', '/api/query', 405],
    ['DELETE', '/health', 405],
  ] as const) {
    test(`${method} ${path} is ${status}`, async () => {
      const response = await fetch(api.url + path, { method })
      assert.equal(response.status, status)
      await response.arrayBuffer()
    })
  }

  test('hands the page the tokens it was given', async () => {
    const tokens = [{ label: 'acme / ana', tenant: 'acme', principal: 'ana', token: 'x.y.z' }]
    api.setTokens(tokens)
    assert.deepEqual(await (await fetch(`${api.url}/demo/tokens.json`)).json(), tokens)
  })
})

test('closing twice closes once, and cuts what still runs', async (t) => {
  const api = await startSampleApi()
  const asked = fetch(`${api.url}/api/query`, {
    method: 'POST',
    headers: { 'x-tenant-id': 'acme' },
    body: JSON.stringify({ ...BY_REGION, slowMs: 60_000 }),
  })
  asked.catch(() => {})
  await t.waitFor(() => assert.equal(api.queries, 1))
  await Promise.all([api.close(), api.close()])
  await assert.rejects(asked)
})

test('the data is the same every time, and large enough to be worth a cache', () => {
  const digest = () => {
    const db = openSampleData()
    const row = db
      .prepare('SELECT count(*) AS n, sum(amount) AS amount, min(day) AS first, max(day) AS last FROM sales')
      .get()
    db.close()
    return row
  }
  const first = digest()
  assert.deepEqual(digest(), first)
  assert.equal(first!.n, 120_000)
  assert.deepEqual([first!.first, first!.last], ['2025-12-01', '2026-11-30'])
})
