/** All that one config says about requests, made ready: issuers, upstreams, routes; and the change from one config to the next. */
import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import type { Config } from '../config/schema.ts'
import { systemClock } from '../kernel/clock.ts'
import { Refusal } from '../kernel/errors.ts'
import type { UpstreamWish } from '../queue/scheduler.ts'
import type { Log } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { type IssuerOptions, Tenancy } from '../tenancy/tenancy.ts'
import { Upstream, type UpstreamEvent } from '../upstream/upstream.ts'
import { compilePolicy, type Policy } from './policy.ts'

export interface Compiled {
  policy: Policy
  upstreams: ReadonlyMap<string, Upstream>
  /** As tenancy was opened with them, key files read: a rotated file is a change. */
  issuers: readonly IssuerOptions[]
  /** What may be asked of each upstream now, for the scheduler. */
  upstreamWishes(): UpstreamWish[]
  /** Closes what the next one no longer uses, once what runs there has ended. */
  closeUnused(next: Compiled): Promise<void>
  close(): Promise<void>
}

export interface UpstreamDeps {
  metrics: Metrics
  log: Log
  /** An upstream rests, or asked to be left alone: whoever waits for it had better come back. */
  onResting: (upstream: string, why: Refusal) => void
}

/** Tenancy, upstreams and routes of one config. What did not change is taken over, so that a reload loses no warm connection, key set or breaker state. */
export async function compileAll(config: Config, before: Compiled | null, deps: UpstreamDeps): Promise<Compiled> {
  const old = before?.policy.config
  const issuers = issuersOf(config)
  const isSameTenancy = before !== null && isDeepStrictEqual(before.issuers, issuers)
  const tenancy = isSameTenancy ? before.policy.tenancy : openTenancy(issuers, deps.log)
  const upstreams = new Map<string, Upstream>()
  for (const [name, settings] of Object.entries(config.upstreams)) {
    const kept = old && isDeepStrictEqual(old.upstreams[name], settings) ? before!.upstreams.get(name) : undefined
    upstreams.set(name, kept ?? openUpstream(name, settings, deps))
  }
  const close = async (used: ReadonlySet<Upstream>, keepTenancy: boolean) => {
    if (!keepTenancy) tenancy.close()
    await Promise.all(
      [...upstreams.values()].filter((upstream) => !used.has(upstream)).map((upstream) => upstream.close()),
    )
  }
  let policy: Policy
  try {
    policy = compilePolicy(config, tenancy, upstreams)
  } catch (error) {
    await close(new Set(before?.upstreams.values()), isSameTenancy) // what was opened for nothing
    throw error
  }
  return {
    policy,
    upstreams,
    issuers,
    upstreamWishes: () => [...upstreams].map(([name, upstream]) => wishOf(name, upstream, config)),
    closeUnused: (next) => close(new Set(next.upstreams.values()), next.policy.tenancy === tenancy),
    close: () => close(new Set(), false),
  }
}

/** More than any process runs. */
const MANY = 1_000_000

function wishOf(name: string, upstream: Upstream, { upstreams }: Config): UpstreamWish {
  const { allow, avoid } = upstream.room()
  const width = upstreams[name]!.maxConcurrentQueries
  return { name, width, allow: Math.min(allow, MANY), avoid: avoid.filter((tenant) => tenant !== '') }
}

function issuersOf(config: Config): IssuerOptions[] {
  return config.auth.issuers.map(({ publicKeyFile, publicKey, clockTolerance, ...issuer }) => {
    const pem = publicKeyFile === undefined ? publicKey : readFileSync(publicKeyFile, 'utf8')
    return {
      ...issuer,
      clockToleranceMs: clockTolerance,
      ...(pem !== undefined && { publicKey: pem }),
    } as IssuerOptions
  })
}

function openTenancy(issuers: readonly IssuerOptions[], log: Log): Tenancy {
  const onKeysFault = (issuer: string, err: unknown) =>
    log.warn({ err, issuer }, 'the keys of an issuer could not be fetched')
  return new Tenancy({ issuers, clock: systemClock, onKeysFault })
}

function openUpstream(
  name: string,
  settings: Config['upstreams'][string],
  { metrics, log, onResting }: UpstreamDeps,
): Upstream {
  const { breaker, retries, healthCheck } = settings
  metrics.breakerState.set({ upstream: name }, 0)
  return new Upstream(
    {
      name,
      urls: settings.urls,
      connectTimeoutMs: settings.connectTimeout,
      timeoutMs: settings.timeout,
      maxConnections: settings.maxConnections,
      breaker: {
        windowMs: breaker.window,
        volumeThreshold: breaker.volumeThreshold,
        errorThresholdPercentage: breaker.errorThresholdPercentage,
        resetTimeoutMs: breaker.resetTimeout,
        maxResetTimeoutMs: breaker.maxResetTimeout,
      },
      retries: {
        attempts: retries.attempts,
        baseDelayMs: retries.baseDelay,
        maxDelayMs: retries.maxDelay,
        budget: retries.budget,
      },
      healthCheck: healthCheck && { path: healthCheck.path, intervalMs: healthCheck.interval },
    },
    { clock: systemClock, onEvent: (event) => noteUpstream(event, { metrics, log, onResting }) },
  )
}

const BREAKER_STATES = { closed: 0, 'half-open': 1, open: 2 } as const

function noteUpstream(event: UpstreamEvent, { metrics, log, onResting }: UpstreamDeps): void {
  const { upstream } = event
  if (event.kind === 'attempt') {
    metrics.upstreamRequests.inc({ upstream, status: event.status === null ? 'error' : `${event.status}` })
    metrics.upstreamSeconds.observe(upstream, event.tookMs / 1_000)
  } else if (event.kind === 'breaker') {
    metrics.breakerState.set({ upstream }, BREAKER_STATES[event.state])
    log.warn({ upstream, state: event.state, retryAt: event.retryAt }, 'the breaker of an upstream changed')
    if (event.retryAt !== null) onResting(upstream, resting(event.retryAt))
  } else if (event.kind === 'asked-to-wait') {
    if (event.tenant === null) onResting(upstream, resting(event.untilAt))
    log.warn(event, 'an upstream asked to be left alone')
  } else if (event.kind === 'retry') {
    metrics.upstreamRetries.inc({ upstream })
  } else if (event.kind === 'health') {
    log.warn(event, event.healthy ? 'an upstream address is healthy again' : 'an upstream address is out')
  }
}

const resting = (untilAt: number): Refusal =>
  new Refusal('BREAKER_OPEN', { retryAfterMs: Math.max(1, untilAt - systemClock.now()) })
