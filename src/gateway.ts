/**
 * The composition root. With cellar.ts, which opens Redis, SQLite and files, the only place that opens anything.
 * Read from top to bottom it is the house from the cellar up; request/handle.ts is the way of a request through it.
 */
import { Registry } from 'prom-client'
import { operations } from './admin/operations.ts'
import { AdminServer, type MetricsPage } from './admin/server.ts'
import { Cache } from './cache/cache.ts'
import { keepsJobs, openResults, openScheduler, openShared, openStore, warnOfEviction } from './cellar.ts'
import { fixedChanges } from './config/reload.ts'
import type { Config } from './config/schema.ts'
import { Accounts } from './entry/account.ts'
import { Cors } from './entry/cors.ts'
import type { Manners } from './entry/manners.ts'
import { DataServer } from './entry/server.ts'
import { Flights } from './flight/flights.ts'
import { type Bus, MemoryBus } from './kernel/bus.ts'
import { systemClock } from './kernel/clock.ts'
import type { Refusal } from './kernel/errors.ts'
import { Census } from './kernel/redis/census.ts'
import { Ingress } from './limits/ingress.ts'
import { MemoryScheduler } from './queue/scheduler.memory.ts'
import { Slots } from './queue/slots.ts'
import { Ticker } from './queue/ticker.ts'
import { Watches } from './queue/watches.ts'
import { compileAll } from './request/compiled.ts'
import type { House } from './request/house.ts'
import { recount } from './request/keep.ts'
import type { Landing } from './request/landing.ts'
import { LiveLimits } from './request/live-limits.ts'
import { LoadGauges } from './request/loads.ts'
import { Gauges } from './request/measure.ts'
import { noteEnd, noteTicked } from './request/note-jobs.ts'
import { perform } from './request/perform.ts'
import { accessLog } from './telemetry/access.ts'
import { TenantLabels } from './telemetry/labels.ts'
import type { Log } from './telemetry/log.ts'
import { createMetrics } from './telemetry/metrics.ts'
import { Tally } from './telemetry/tally.ts'
import { type Desk, viewOf } from './upstream/desk.ts'
import { Passthrough } from './upstream/passthrough.ts'
import { Pool } from './workers/pool.ts'
import { isSpent } from './workers/spent.ts'

/** What one process does: answer requests, run jobs, or both. */
export type Role = 'all' | 'gateway' | 'worker'

export interface GatewayParts {
  log: Log
  /** Takes the lines of the access log. */
  writeLine: (line: string) => void
  registry?: Registry
  /** Whether this process runs jobs; `all` and `worker` do. */
  role?: Role
  /** It has run as many jobs, or grown as large, as the config allows a process: another one should take its place. Said once and again. */
  onSpent?: () => void
  /** Which doors this process opens; a fleet's first process has the admin port, the others share the data port. */
  doors?: { data: boolean; admin: boolean }
  /** Whether the processes that have the data door are shutting down; told at /readyz. */
  isDraining?: () => boolean
  /** The metrics page, where it is not this process's own registry. */
  metricsPage?: MetricsPage
  /** The upstreams as all processes together see them, where others than this one ask them. */
  desk?: Desk
}

export interface Gateway extends AsyncDisposable {
  /** Where the data port is, and the admin port; null for a door that is not open here. */
  readonly url: string | null
  readonly adminUrl: string | null
  /** Another process has taken its place: nothing new is begun here, and what is on its way here is still answered. Then it may close. */
  retire(): Promise<void>
  /** This process's upstreams. */
  readonly desk: Desk
  /** Takes over all that may change live, at once or not at all. Returns the paths that need a restart. */
  reload(config: Config): Promise<string[]>
}

/**
 * Opens the house from the cellar up; closing runs the same steps backwards: the door first, the store last.
 * If a step fails to open, the ones before it are closed and the error is rethrown.
 */
export async function openGateway(config: Config, parts: GatewayParts): Promise<Gateway> {
  const { log, registry = new Registry(), role = 'all', doors = { data: true, admin: true } } = parts
  const clock = systemClock
  const openedAt = clock.now()
  const metrics = createMetrics(registry)
  await using opening = new AsyncDisposableStack()

  // the cellar: where entries, leases and limits live
  let onStoreLost = () => {}
  const store = openStore(config, { metrics, log, onLost: () => onStoreLost() }, opening)
  const bus: Bus = store?.bus ?? new MemoryBus()
  if (await store?.firstContact(FIRST_CONTACT_MS)) void warnOfEviction(store!, keepsJobs(config), log)
  const census = store ? opening.use(new Census({ store, clock })) : { size: 1 }

  // the rooms
  const { far, fleet, limiter } = openShared(config, store, { bus, census, metrics }, opening)
  const near = { maxBytes: config.store.near.maxBytes, maxAgeMs: config.store.near.maxAge }
  const cache = new Cache({ near, far, bus, clock })
  opening.defer(() => cache.close())
  const flights = new Flights<Landing>()
  const ingress = new Ingress({ limiter, census, clock })
  const upstreamDeps = { metrics, log, onResting: (name: string, why: Refusal) => slots.dismiss(name, why) }
  let current = await compileAll(config, null, upstreamDeps)
  opening.defer(() => current.close())

  // the line: whose turn it is, for jobs and for waiting requests alike, and where results lie
  const scheduler = openScheduler(config, store, limiter, (tenant) => current.policy.tenant(tenant)?.queue)
  opening.defer(() => scheduler.close())
  const results = openResults(() => house.policy.config, config, store)
  const process = store?.process ?? 'here'
  const slots = new Slots({
    ...{ scheduler, census, clock, process },
    local: store ? new MemoryScheduler({ clock }) : null,
    upstreams: () => current.upstreamWishes(),
    onGiven: (given) => ticker.hear(given.nextDueAt),
  })
  opening.defer(() => slots.close())
  onStoreLost = () => slots.storeLost()
  const watches = new Watches({ scheduler, process, clock })
  opening.defer(() => watches.close())
  const ticker: Ticker = new Ticker({
    ...{ scheduler, clock, random: Math.random },
    wish: () => slots.wish(0),
    onTicked: (ticked) => noteTicked(ticked, house),
  })
  opening.defer(() => ticker.close())

  // the walk
  const labels = new TenantLabels(config.telemetry.tenantLabels)
  const house: House = {
    policy: current.policy,
    cache,
    flights,
    fleet,
    limiter,
    ingress,
    ...{ scheduler, slots, watches, results },
    onDue: (at) => ticker.hear(at),
    clock,
    random: Math.random,
    metrics,
    tenantLabels: labels,
    log,
  }

  // the workers
  const limits = new LiveLimits(house)
  ticker.start()
  let pool: Pool | undefined
  let closing: Promise<void> | undefined // a second close waits for the first
  const lookIfSpent = () => {
    const spent = {
      ended: pool?.ended ?? 0,
      ageMs: clock.now() - openedAt,
      rssBytes: () => globalThis.process.memoryUsage.rss(),
    }
    if (pool && !closing && isSpent(spent, house.policy.config.workers)) parts.onSpent?.()
  }
  let drained: Promise<void> | undefined
  const drainPool = () => {
    drained ??= pool?.drain(config.server.drainTimeout)
    return drained
  }
  if (role !== 'gateway') {
    pool = new Pool({
      ...{ scheduler, clock, process },
      concurrency: () => house.policy.config.workers.concurrency,
      wish: (want) => slots.wish(want),
      run: (work) => perform(work, house),
      onGiven: (given) => {
        ticker.hear(given.nextDueAt)
        if (given.held) slots.held()
      },
      onEnd: (end) => {
        noteEnd(end, house)
        lookIfSpent()
      },
    })
    opening.defer(drainPool)
    pool.start()
    metrics.workers.set(config.workers.concurrency)
  }
  if (!store) void recount(house)
  const sweeping = setInterval(() => void sweep(house), SWEEP_MS)
  opening.defer(() => clearInterval(sweeping))

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
  const desk: Desk = {
    views: async () => [...current.upstreams.values()].map(viewOf),
    setBreaker: async (name, state) => current.upstreams.get(name)?.setBreaker(state),
  }
  const admin = new AdminServer(
    { host: config.admin.host, port: config.admin.port, auth: { token: config.admin.token } },
    {
      operations: operations(house, parts.desk ?? desk),
      metrics: parts.metricsPage ?? registry,
      readiness: () => {
        const draining = closing !== undefined || parts.isDraining?.() === true
        return { ready: !draining, draining, store: store ? (store.up ? 'up' : 'down') : 'embedded' }
      },
      log,
    },
  )
  // The admin port closes after all that drains, so that it can still be watched.
  if (doors.admin) {
    opening.defer(() => admin.close())
    await admin.listen()
  }
  // Both begin at once: what runs, a request or a job, has until `drainTimeout` after the signal.
  opening.defer(async () => void (await Promise.all([data.drain(), drainPool()])))
  if (doors.data) await data.listen()
  const gauges = new Gauges(house)
  const measure = async () => {
    gauges.measure(current, census.size)
    lookIfSpent()
    if (doors.data) metrics.connections.set(await data.connections())
  }
  await measure()
  const loads = new LoadGauges(house)
  metrics.loads.measure = () => loads.measure()
  const measuring = setInterval(() => void measure(), GAUGES_MS)
  opening.defer(() => clearInterval(measuring))

  const open = opening.move() // from here on the caller owns it
  return {
    desk,
    async retire() {
      void drainPool()
      data.retire()
      if (doors.data) await clock.sleep(RETIRING_MS)
    },
    url: doors.data ? `http://${urlHost(door.host)}:${data.port}` : null,
    adminUrl: doors.admin ? `http://${urlHost(config.admin.host)}:${admin.port}` : null,
    async reload(next) {
      const before = current
      if (!store && !keepsJobs(config) && keepsJobs(next))
        throw new Error('the first route that takes jobs needs a restart')
      const after = await compileAll(next, before, upstreamDeps) // throws before anything has changed
      house.policy = after.policy
      void limits.apply()
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

/** So long after its connection was taken a request may still be on its way to a process that retires. */
const RETIRING_MS = 1_000

/** How long the start waits for a first answer of the store; it goes on without one (DESIGN 8). */
const FIRST_CONTACT_MS = 1_000

const SWEEP_MS = 60_000

async function sweep({ results, log }: House): Promise<void> {
  await results
    .sweep()
    .catch((err) => log.warn({ err }, 'stored results could not be swept; the next round tries again'))
}

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
