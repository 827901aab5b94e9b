import { mint } from './token.ts'

/** What a client sends, before it is addressed to one side of a comparison. */
export interface Query {
  method: 'GET' | 'POST'
  path: string
  headers: Record<string, string>
  body: string
}

const USERS = 10
const CHARTS = 50

/** Ten users of two tenants ask fifty charts each: 500 distinct entries, all hits once they are warm. */
export function dashboardQueries(acceptEncoding?: string): Query[] {
  return Array.from({ length: USERS }, (_, user) => {
    const token = mint({
      tenant: user % 2 ? 'acme' : 'globex',
      sub: `user-${user}`,
      rls_rules: [{ clause: `region = ${user}` }],
    })
    return Array.from({ length: CHARTS }, (_, chart) => chartQuery(chart, token, acceptEncoding))
  }).flat()
}

export function chartQuery(chart: number, token: string, acceptEncoding?: string, path = '/api/query'): Query {
  const body = JSON.stringify({
    datasource: { id: chart, type: 'table' },
    queries: [
      {
        columns: ['ds', 'country', 'channel'],
        metrics: ['sum__sales', 'count'],
        filters: [{ col: 'region', op: 'IN', val: ['north', 'south'] }],
        time_range: 'Last quarter',
        row_limit: 1000 + chart,
      },
    ],
    result_format: 'json',
  })
  const headers: Record<string, string> = { 'content-type': 'application/json', authorization: `Bearer ${token}` }
  if (acceptEncoding) headers['accept-encoding'] = acceptEncoding
  return { method: 'POST', path, headers, body }
}

/** The same number of distinct answers for caches that keep no POST: no body, no token. */
export function plainQueries(path = '/api/query'): Query[] {
  return Array.from({ length: USERS * CHARTS }, (_, at) => ({
    method: 'GET',
    path: `${path}?chart=${at}`,
    headers: {},
    body: '',
  }))
}

/** The bytes of a request as they go over the wire. */
export function wire(query: Query, host: string): Buffer {
  const length = query.body ? { 'content-length': `${Buffer.byteLength(query.body)}` } : {}
  const lines = Object.entries({ host, ...query.headers, ...length }).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.from(`${query.method} ${query.path} HTTP/1.1\r\n${lines.join('')}\r\n${query.body}`)
}
