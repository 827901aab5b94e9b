/**
 * The cellar of the house: opens what keeps things, Redis, SQLite and files, and says which adapter serves which port.
 * gateway.ts stands on it.
 */
import { join } from 'node:path'
import { MemoryFar } from './cache/far.memory.ts'
import { RedisFar } from './cache/far.redis.ts'
import type { Far } from './cache/far.ts'
import { takesJobs } from './config/jobs.ts'
import type { Config } from './config/schema.ts'
import { MemoryFleet } from './flight/fleet.memory.ts'
import { RedisFleet } from './flight/fleet.redis.ts'
import type { Fleet } from './flight/fleet.ts'
import type { Bus } from './kernel/bus.ts'
import { systemClock } from './kernel/clock.ts'
import type { Rate } from './kernel/gcra.ts'
import { RedisStore } from './kernel/redis/store.ts'
import { DegradingLimiter, type ProcessCount } from './limits/limiter.degrading.ts'
import { MemoryLimiter } from './limits/limiter.memory.ts'
import { RedisLimiter } from './limits/limiter.redis.ts'
import type { Limiter } from './limits/limiter.ts'
import { MemoryScheduler } from './queue/scheduler.memory.ts'
import { RedisScheduler } from './queue/scheduler.redis.ts'
import { SqliteScheduler } from './queue/scheduler.sqlite.ts'
import type { Scheduler, TenantLimits } from './queue/scheduler.ts'
import { MemoryLedger } from './results/ledger.memory.ts'
import { RedisLedger } from './results/ledger.redis.ts'
import { Results } from './results/results.ts'
import { FileSpill } from './results/spill.file.ts'
import { RedisSpill } from './results/spill.redis.ts'
import type { Log } from './telemetry/log.ts'
import type { Metrics } from './telemetry/metrics.ts'

export function openStore(
  config: Config,
  { metrics, log, onLost }: { metrics: Metrics; log: Log; onLost: () => void },
  opening: AsyncDisposableStack,
): RedisStore | null {
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
        if (!up) onLost()
      },
      onCall: (op, seconds) => metrics.storeSeconds.observe(op, seconds),
    },
  )
  return opening.use(store)
}

/** Where jobs are kept: in Redis, or in a file; a config without jobs needs none. */
export function openScheduler(
  config: Config,
  store: RedisStore | null,
  limiter: Limiter,
  limitsOf: (tenant: string) => TenantLimits | undefined,
): Scheduler {
  if (store) return new RedisScheduler({ store })
  const takeRate = ({ bucket, nowAt, ...rate }: Rate & { bucket: string; nowAt: number }) =>
    (limiter as MemoryLimiter).takeFrom(bucket, rate, nowAt)
  if (!keepsJobs(config)) return new MemoryScheduler({ clock: systemClock, takeRate })
  const { dir, synchronous } = config.store as Extract<Config['store'], { kind: 'embedded' }>
  const file = join(dir, 'jobs.sqlite')
  return new SqliteScheduler({
    clock: systemClock,
    takeRate,
    file,
    synchronous,
    limitsOf: (name) => limitsOf(name) ?? NONE,
  })
}

/** A tenant that is no longer in the config has jobs left: one at a time, to their end. */
const NONE: TenantLimits = { weight: 1, hard: 1, soft: 1, maxQueue: 0, paused: false }

export const keepsJobs = (config: Config): boolean => config.routes.some((route) => takesJobs(route, config))

export function openResults(current: () => Config, config: Config, store: RedisStore | null): Results {
  const inRedis = store !== null && config.results.kind === 'redis'
  return new Results({
    spill: inRedis ? new RedisSpill({ store }) : new FileSpill({ dir: config.store.dir }),
    ledger: store ? new RedisLedger({ store, clock: systemClock }) : new MemoryLedger({ clock: systemClock }),
    clock: systemClock,
    spillAboveBytes: () => current().results.spillAbove,
  })
}

/** A Redis that may drop keys may drop accepted jobs. One that does not say (managed ones refuse CONFIG) is not judged. */
export async function warnOfEviction(store: RedisStore, keepsJobs: boolean, log: Log): Promise<void> {
  if (!keepsJobs) return
  const told = await store.run('config', (redis) => redis.config('GET', 'maxmemory-policy')).catch(() => null)
  const policy = Array.isArray(told) ? String(told[1]) : 'noeviction'
  if (policy !== 'noeviction')
    log.warn({ policy }, 'this Redis may evict accepted jobs: its maxmemory-policy should be noeviction')
}

/** The cache's far tier, the flights of the fleet and the limits, as the store allows. */
export function openShared(
  config: Config,
  store: RedisStore | null,
  { bus, census, metrics }: { bus: Bus; census: ProcessCount; metrics: Metrics },
  opening: AsyncDisposableStack,
): { far: Far; fleet: Fleet; limiter: Limiter } {
  const clock = systemClock
  if (config.store.kind === 'embedded' || !store) {
    const { maxBytes } = config.store as Extract<Config['store'], { kind: 'embedded' }>
    return {
      far: new MemoryFar({ clock, bus, maxBytes }),
      fleet: new MemoryFleet(),
      limiter: new MemoryLimiter({ clock }),
    }
  }
  const lockUrls = config.store.lock.urls
  return {
    far: new RedisFar({ store, clock }),
    fleet: opening.use(new RedisFleet({ store, lockUrls, onTakeover: () => metrics.takeovers.inc() })),
    limiter: new DegradingLimiter({ limiter: new RedisLimiter({ store, clock }), census, clock }),
  }
}
