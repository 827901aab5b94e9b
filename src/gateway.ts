/**
 * The composition root: the only place that opens Redis and sockets, and says which adapter serves which port.
 * Read from top to bottom it is the house from the cellar up; request/handle.ts is the way of a request through it.
 */
import { Registry } from 'prom-client'
import { operations } from './admin/operations.ts'
import { AdminServer, type MetricsPage } from './admin/server.ts'
import { Cache } from './cache/cache.ts'
import { MemoryFar } from './cache/far.memory.ts'
import { RedisFar } from './cache/far.redis.ts'
import { fixedChanges } from './config/reload.ts'
import type { Config } from './config/schema.ts'
import { Accounts } from './entry/account.ts'
import { Cors } from './entry/cors.ts'
import type { Manners } from './entry/manners.ts'
import { DataServer } from './entry/server.ts'
import { MemoryFleet } from './flight/fleet.memory.ts'
import { RedisFleet } from './flight/fleet.redis.ts'
import { Flights } from './flight/flights.ts'
import { type Bus, MemoryBus } from './kernel/bus.ts'
import { systemClock } from './kernel/clock.ts'
import { Census } from './kernel/redis/census.ts'
import { RedisStore } from './kernel/redis/store.ts'
import { Ingress } from './limits/ingress.ts'
import { DegradingLimiter } from './limits/limiter.degrading.ts'
import { MemoryLimiter } from './limits/limiter.memory.ts'
import { RedisLimiter } from './limits/limiter.redis.ts'
import { compileAll } from './request/compiled.ts'
import type { House } from './request/house.ts'
import type { Landing } from './request/landing.ts'
import { Gauges } from './request/measure.ts'
import { accessLog } from './telemetry/access.ts'
import { TenantLabels } from './telemetry/labels.ts'
import type { Log } from './telemetry/log.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'
import { Tally } from './telemetry/tally.ts'
import { Passthrough } from './upstream/passthrough.ts'

export interface GatewayParts {
  log: Log
  /** Takes the lines of the access log. */
  writeLine: (line: string) => void
  registry?: Registry
  /** Which doors this process opens; a fleet's first process has the admin port, the others share the data port. */
  doors?: { data: boolean; admin: boolean }
  /** Whether the processes that have the data door are shutting down; told at /readyz. */
  isDraining?: () => boolean
  /** The metrics page, where it is not this process's own registry. */
  metricsPage?: MetricsPage
}

export interface Gateway extends AsyncDisposable {
  /** Where the data port is, and the admin port; null for a door that is not open here. */
  readonly url: string | null
  readonly adminUrl: string | null
  /** Takes over all that may change live, at once or not at all. Returns the paths that need a restart. */
  reload(config: Config): Promise<string[]>
}

/**
 * Opens the house from the cellar up; closing runs the same steps backwards: the door first, the store last.
 * If a step fails to open, the ones before it are closed and the error is rethrown.
 */
export async function openGateway(config: Config, parts: GatewayParts): Promise<Gateway> {
  const { log, registry = new Registry(), doors = { data: true, admin: true } } = parts
  const clock = systemClock
  const metrics = createMetrics(registry)
  await using opening = new AsyncDisposableStack()

  // the cellar: where entries, leases and limits live
  const store = openStore(config, metrics, log, opening)
  const bus: Bus = store?.bus ?? new MemoryBus()
  await store?.firstContact(FIRST_CONTACT_MS)
  const census = store ? opening.use(new Census({ store, clock })) : { size: 1 }

  // the rooms
  const far = store ? new RedisFar({ store, clock }) : new MemoryFar({ clock, bus, maxBytes: embeddedBytes(config) })
  const near = { maxBytes: config.store.near.maxBytes, maxAgeMs: config.store.near.maxAge }
  const cache = new Cache({ near, far, bus, clock })
  opening.defer(() => cache.close())
  const flights = new Flights<Landing>()
  const fleet = store
    ? opening.use(
        new RedisFleet({ store, lockUrls: redisSettings(config).lock.urls, onTakeover: () => metrics.takeovers.inc() }),
      )
    : new MemoryFleet()
  const limiter = store
    ? new DegradingLimiter({ limiter: new RedisLimiter({ store, clock }), census, clock })
    : new MemoryLimiter({ clock })
  const ingress = new Ingress({ limiter, census, clock })
  let current = await compileAll(config, null, { metrics, log })
  opening.defer(() => current.close())

  // the walk
  const labels = new TenantLabels(config.telemetry.tenantLabels)
  const house: House = {
    policy: current.policy,
    cache,
    flights,
    fleet,
    limiter,
    ingress,
    clock,
    random: Math.random,
    metrics,
    tenantLabels: labels,
    log,
  }

  // the doors
  const accounts = new Accounts({
    metrics,
    tally: new Tally(metrics),
    labels,
    log: accessLog(parts.writeLine, () => house.policy.config.telemetry.accessLog),
  })
  const { server: door } = config
  const passthrough = new Passthrough()
  opening.defer(() => passthrough.close())
  const data = new DataServer(house, accounts, passthrough, mannersOf(config), {
    host: door.host,
    port: door.port,
    headersTimeoutMs: door.headersTimeout,
    maxConnections: door.maxConnections,
    drainTimeoutMs: door.drainTimeout,
  })
  const admin = new AdminServer(
    { host: config.admin.host, port: config.admin.port, auth: { token: config.admin.token } },
    {
      operations: operations(house),
      metrics: parts.metricsPage ?? registry,
      readiness: () => {
        const draining = data.draining || parts.isDraining?.() === true
        return { ready: !draining, draining, store: store ? (store.up ? 'up' : 'down') : 'embedded' }
      },
      log,
    },
  )
  // The admin port closes after the data port, so that a draining gateway can still be watched.
  if (doors.admin) {
    opening.defer(() => admin.close())
    await admin.listen()
  }
  if (doors.data) {
    opening.defer(() => data.drain())
    await data.listen()
  }
  const gauges = new Gauges(house)
  const measure = async () => {
    gauges.measure(current, census.size)
    if (doors.data) metrics.connections.set(await data.connections())
  }
  await measure()
  const measuring = setInterval(() => void measure(), GAUGES_MS)
  opening.defer(() => clearInterval(measuring))

  const open = opening.move() // from here on the caller owns it
  let closing: Promise<void> | undefined // a second close waits for the first
  return {
    url: doors.data ? `http://${urlHost(door.host)}:${data.port}` : null,
    adminUrl: doors.admin ? `http://${urlHost(config.admin.host)}:${admin.port}` : null,
    async reload(next) {
      const before = current
      const after = await compileAll(next, before, { metrics, log }) // throws before anything has changed
      house.policy = after.policy
      data.manners = mannersOf(next)
      log.level = next.telemetry.logLevel
      current = after
      before.closeUnused(after).catch((err) => log.error({ err }, 'what a reload left unused did not close'))
      return fixedChanges(before.policy.config, next)
    },
    [Symbol.asyncDispose]: () => {
      closing ??= open.disposeAsync()
      return closing
    },
  }
}

const GAUGES_MS = 1_000

/** How long the start waits for a first answer of the store; it goes on without one (DESIGN 8). */
const FIRST_CONTACT_MS = 1_000

function openStore(config: Config, metrics: Metrics, log: Log, opening: AsyncDisposableStack): RedisStore | null {
  if (config.store.kind !== 'redis') {
    metrics.storeUp.set(1)
    return null
  }
  const { url, cluster, sentinel, keyPrefix, commandTimeout } = config.store
  metrics.storeUp.set(0)
  const store = new RedisStore(
    { url, cluster, sentinel, keyPrefix, commandTimeoutMs: commandTimeout },
    {
      onState(up, reason) {
        metrics.storeUp.set(up ? 1 : 0)
        if (up) log.info('the store is up')
        else log.warn({ reason }, 'the store is down; going on without it')
      },
      onCall: (op, seconds) => metrics.storeSeconds.observe(op, seconds),
    },
  )
  return opening.use(store)
}

const redisSettings = (config: Config) => config.store as Extract<Config['store'], { kind: 'redis' }>
const embeddedBytes = (config: Config) => (config.store as Extract<Config['store'], { kind: 'embedded' }>).maxBytes

function mannersOf({ server }: Config): Manners {
  const { cors } = server
  return {
    bodyBounds: { maxBytes: server.bodyLimit, timeoutMs: server.bodyTimeout },
    cors: cors ? new Cors({ origins: cors.origins, credentials: cors.credentials, maxAgeMs: cors.maxAge }) : null,
  }
}

/** An address to paste into a browser. */
export const urlHost = (host: string): string =>
  host === '0.0.0.0' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host
