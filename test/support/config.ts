import { stringify } from 'yaml'

export const SECRET = 'a-secret-for-tests-only-of-good-length'

type Settings = Record<string, unknown>

/** No limit that a test does not ask for. */
export const WIDE: Settings = {
  requestsPerMinute: 0,
  maxConcurrentQueries: 10_000,
  softConcurrentQueries: 10_000,
  maxQueueSize: 10_000,
}

/** The YAML of a gateway for a test: one issuer, one upstream, a cached query route; what is given replaces sections. */
export function configFor(upstreamUrl: string, sections: Settings = {}): string {
  return stringify({
    server: { host: '127.0.0.1', port: 0, drainTimeout: '5s', ...(sections.server as Settings) },
    admin: { port: 0 },
    store: sections.store ?? { kind: 'embedded' },
    auth: sections.auth ?? { issuers: [issuer()] },
    upstreams: sections.upstreams ?? { main: upstream(upstreamUrl) },
    routes: sections.routes ?? [queryRoute(), getRoute()],
    tenants: sections.tenants ?? { unknown: 'default', default: WIDE },
    telemetry: sections.telemetry ?? { logLevel: 'info' },
    ...(sections.workers !== undefined && { workers: sections.workers }),
    ...(sections.results !== undefined && { results: sections.results }),
  })
}

export const issuer = (settings: Settings = {}): Settings => ({
  name: 'test',
  algorithms: ['HS256'],
  secret: SECRET,
  credentials: ['header:authorization', 'cookie:access_token'],
  tenant: { claim: 'tenant' },
  scopeClaims: ['rls'],
  ...settings,
})

export const upstream = (url: string, settings: Settings = {}): Settings => ({
  urls: [url],
  timeout: '10s',
  retries: { attempts: 1 },
  maxConcurrentQueries: 10_000,
  ...settings,
})

export const queryRoute = (cache: Settings = {}, settings: Settings = {}): Settings => ({
  name: 'query',
  match: { method: 'POST', path: '/api/query' },
  mode: 'cache',
  cache: { ttl: '1m', tags: ['dataset:{body.dataset}'], bypass: ['body:force=true'], ...cache },
  ...settings,
})

export const getRoute = (cache: Settings = {}): Settings => ({
  name: 'report',
  match: { method: 'GET', path: '/api/report/:id' },
  mode: 'cache',
  cache: { body: 'none', ttl: '1m', ...cache },
})

/** Redis as the store of a test's gateway. */
export const redisStore = (url: string, settings: Settings = {}): Settings => ({ kind: 'redis', url, ...settings })
