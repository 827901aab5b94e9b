/**
 * Every setting of the gateway, in one strict table: what it may be, its default, and the reason for it.
 * docs/config.md and config/sluice.schema.json are printed from it. Rules between settings are in rules.ts.
 * A setting enters here together with the code that obeys it; until then unobeyed.ts refuses it.
 */
import { z } from 'zod'
import { Auth } from './auth.ts'
import { CACHEABLE_METHODS, type CachePolicy, type Method, type RouteAuth, type RouteInFile, Routes } from './routes.ts'
import { Results, Store } from './store.ts'
import type { JobClass, Submit } from './submit.ts'
import { Tenants } from './tenants.ts'
import { Upstreams } from './upstreams.ts'
import { count, duration, host, network, origin, port, secret, size } from './values.ts'

const Cors = z.strictObject({
  origins: z.array(origin()).min(1).max(256).describe('Pages that may call: exact origins, or * for all.'),
  credentials: z.boolean().prefault(false).describe('Browsers may send cookies and tokens along. Not with *.'),
  maxAge: duration('0s', '1d').prefault('10m').describe('How long a browser may remember the answer to a preflight.'),
})

const Server = z.strictObject({
  host: host().prefault('0.0.0.0').describe('The address the data port listens at.'),
  port: port().prefault(8080).describe('The data port. 0: any free one.'),
  processes: z
    .union([count(1, 64), z.literal('auto')])
    .prefault(1)
    .describe('How many processes serve the port; auto: one per core. More than one needs `store.kind: redis`.'),
  bodyLimit: size('1KiB', '1GiB')
    .prefault('1MiB')
    .describe('Largest request body that is read into memory. Proxied bodies stream and have no limit here.'),
  drainTimeout: duration('0s', '1h').prefault('30s').describe('How long running requests may take after SIGTERM.'),
  trustedProxies: z
    .array(network())
    .max(256)
    .prefault([])
    .describe('Whose X-Forwarded-* and Forwarded are believed. Everybody else’s are replaced.'),
  headersTimeout: duration('100ms', '10m').prefault('10s').describe('Longest wait for the headers of a request.'),
  bodyTimeout: duration('100ms', '1h').prefault('30s').describe('Longest wait for the body of a request.'),
  maxConnections: count(1, 1_000_000).prefault(10_000).describe('Open client connections per process.'),
  cors: Cors.optional().describe(
    'When set, the gateway alone answers preflights and sets Access-Control-*. Unset: they are passed on.',
  ),
})

const Admin = z.strictObject({
  host: host().prefault('127.0.0.1').describe('The address the admin port listens at.'),
  port: port().prefault(9090).describe('The admin port. 0: any free one.'),
  token: secret().prefault('').describe('The bearer token of the admin API. Empty: only a loopback host is allowed.'),
})

const Workers = z.strictObject({
  concurrency: count(1, 1_000).prefault(16).describe('Jobs that one process runs at a time.'),
  maxJobsPerProcess: count(0, 1_000_000_000)
    .prefault(0)
    .describe(
      'A process that has run so many jobs is replaced by a fresh one. 0 = never. Anything else needs ' +
        '`store.kind: redis`, for another process takes over.',
    ),
  maxMemory: z
    .union([z.literal(0), size('64MiB', '1024GiB')])
    .prefault(0)
    .describe(
      'Resident memory past which a process is replaced. 0 = never. Anything else needs `store.kind: redis`, for ' +
        'another process takes over.',
    ),
})

const Telemetry = z.strictObject({
  logLevel: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
    .prefault('info')
    .describe('The least urgent lines that are written.'),
  accessLog: z.boolean().prefault(true).describe('One line per request.'),
  tenantLabels: count(0, 100_000)
    .prefault(200)
    .describe('Tenants with a metric label of their own; those beyond are counted as `other`.'),
})

const Sections = z.strictObject({
  server: Server.prefault({}).describe('The data port.'),
  admin: Admin.prefault({}).describe('The admin port: API, metrics, health.'),
  store: Store.prefault({ kind: 'embedded' }).describe('Where answers, leases and jobs are kept.'),
  auth: Auth.prefault({}).describe('Whose tokens are believed.'),
  upstreams: Upstreams.prefault({}).describe('The query APIs behind, by name; at least one.'),
  routes: Routes.prefault([]).describe('What happens to which request; the first match wins, the rest is proxied.'),
  tenants: Tenants.prefault({}).describe('What each tenant may do.'),
  workers: Workers.prefault({}).describe('How jobs are run.'),
  results: Results.prefault({}).describe('Where the results of jobs are kept: small ones stay with the job.'),
  telemetry: Telemetry.prefault({}).describe('Logs and metrics.'),
})

export const Config = Sections.transform((file) => ({
  ...file,
  routes: file.routes.map((route) => settled(route, file)),
}))

/** What the gateway runs by: durations in ms, sizes in bytes, every default filled in, routes settled. */
export type Config = z.output<typeof Config>

/** A route with what it left to the rest of the file filled in. */
export interface Route {
  name: string
  match: { method?: Method[] | undefined; path: string }
  mode: 'cache' | 'queue' | 'proxy' | 'deny'
  auth: RouteAuth
  /** Absent on denied routes only. */
  upstream?: string
  idempotent: boolean
  /** Present on cached and queue routes only: the order inside a tenant. */
  class?: JobClass
  /** Present on cached routes, and on queue routes whose answers are kept. */
  cache?: CachePolicy | undefined
  /** Present on queue routes, and on cached routes that say how their jobs are kept. */
  submit?: Submit | undefined
}

type InFile = z.output<typeof Sections>

/** An upstream that cannot be told is '', which rules.ts refuses. */
function settled(route: RouteInFile, file: InFile): Route {
  const auth = route.auth ?? defaultAuth(file)
  if (route.mode === 'deny') return { ...route, auth, idempotent: false }
  const upstream = route.upstream ?? onlyUpstream(file) ?? ''
  if (route.mode === 'proxy' || !route.cache) return { ...route, auth, upstream }
  const method = route.match.method ?? [...CACHEABLE_METHODS]
  return { ...route, auth, upstream, match: { ...route.match, method } }
}

/** What a request that no route speaks for must carry. */
export const defaultAuth = ({ auth }: Pick<InFile, 'auth'>): RouteAuth =>
  auth.required ? 'required' : auth.issuers.length > 0 ? 'optional' : 'none'

/** The upstream of routes that name none; undefined when there are several. */
export function onlyUpstream({ upstreams }: Pick<InFile, 'upstreams'>): string | undefined {
  const [first, ...others] = Object.keys(upstreams)
  return others.length === 0 ? first : undefined
}
