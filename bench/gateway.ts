import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../test/support/ports.ts'
import { answering, type Child, launchScript, type Place, scratch } from './children.ts'
import { SECRET } from './token.ts'

/** Another checkout can be measured with the same harness: before and after a change. */
const MAIN = process.env.SLUICE_BENCH_MAIN ?? join(import.meta.dirname, '..', 'src', 'main.ts')

export interface GatewaySettings {
  upstream: string
  /** Absent: the embedded store. */
  redisUrl?: string
  /** false: every hit is asked for in the far tier. */
  near?: boolean
  /** As shipped it is on. */
  accessLog?: boolean
  identity?: 'principal' | 'scope'
  place?: Place
}

export interface RunningGateway {
  url: string
  adminUrl: string
  child: Child
  stop(): Promise<void>
}

/** The gateway as a user runs it: `node src/main.ts serve --config FILE`, its log in a file. */
export async function startGateway(settings: GatewaySettings): Promise<RunningGateway> {
  const dir = scratch('gateway')
  const [port, adminPort] = [await freePort(), await freePort()]
  const config = join(dir, 'generated.yaml')
  writeFileSync(config, configText(settings, port, adminPort))
  const child = launchScript(MAIN, ['serve', '--config', config], {
    place: settings.place ?? 'server',
    cwd: dir,
    env: { NODE_ENV: 'production' },
    log: join(dir, 'log'),
  })
  const url = `http://127.0.0.1:${port}`
  await answering(`${url}/_sluice/health/ready`, child).catch((cause) => {
    throw new Error(`the gateway did not start:\n${readFileSync(join(dir, 'log'), 'utf8').slice(-2_000)}`, { cause })
  })
  return { url, adminUrl: `http://127.0.0.1:${adminPort}`, child, stop: () => child.stop() }
}

/** As shipped, but for what would end a measurement early: the rate limit, the tenants' share of the cache, short ttls. */
function configText(settings: GatewaySettings, port: number, adminPort: number): string {
  const { upstream, redisUrl, near = true, accessLog = true, identity = 'principal' } = settings
  const nearTier = near ? '' : ', near: { maxBytes: 64KiB, maxAge: 0s }'
  const store = redisUrl ? `kind: redis, url: "${redisUrl}"` : 'kind: embedded'
  return `
server: { host: 127.0.0.1, port: ${port} }
admin: { host: 127.0.0.1, port: ${adminPort} }
store: { ${store}${nearTier} }
auth:
  issuers:
    - name: bench
      algorithms: [HS256]
      secret: "${SECRET}"
      tenant: { claim: tenant }
      principal: { claim: sub }
      scopeClaims: [rls_rules]
upstreams:
  main: { urls: ["${upstream}"] }
routes:
  - name: query
    match: { method: POST, path: /api/query }
    mode: cache
    upstream: main
    idempotent: true
    cache: { identity: ${identity}, ttl: 1h }
  - name: rest
    match: { path: "/*" }
    mode: proxy
    auth: none
    upstream: main
tenants:
  unknown: default
  default: { requestsPerMinute: 0, cache: { maxBytes: 64GiB } }
telemetry: { accessLog: ${accessLog} }
`
}
