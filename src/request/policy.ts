import { forwardsCredential, takesJobs } from '../config/jobs.ts'
import { type Config, defaultAuth, type Route as RouteSettings } from '../config/schema.ts'
import { DEFAULT_SUBMIT } from '../config/submit.ts'
import { type TenantSettings, tenantSettings } from '../config/tenants.ts'
import { Sealer } from '../kernel/seal.ts'
import type { Limit } from '../limits/limiter.ts'
import type { Class, TenantLimits } from '../queue/scheduler.ts'
import { Questioner } from '../routing/question.ts'
import { Router } from '../routing/router.ts'
import type { IdentityKind } from '../tenancy/identity.ts'
import type { Tenancy } from '../tenancy/tenancy.ts'
import { TrustedProxies } from '../upstream/forwarded.ts'
import { HeaderRules } from '../upstream/headers.ts'
import type { Upstream } from '../upstream/upstream.ts'

export type AuthNeed = 'required' | 'optional' | 'none'

export interface Route {
  readonly name: string
  readonly match: { method?: string | readonly string[] | undefined; path: string }
  readonly mode: 'cache' | 'queue' | 'proxy' | 'deny'
  readonly auth: AuthNeed
  readonly upstream: Upstream
  readonly upstreamName: string
  /** How many queries it may run at a time, over all processes. */
  readonly upstreamWidth: number
  readonly upstreamTimeoutMs: number
  readonly connectTimeoutMs: number
  /** What of a request goes upstream. */
  readonly headers: HeaderRules
  readonly idempotent: boolean
  readonly class: Class
  /** Present on cached routes, and on queued ones whose answers are kept. */
  readonly cached?: { questioner: Questioner; policy: CachePolicy }
  /** Present where requests may become jobs. */
  readonly submit?: SubmitPolicy
}

/** How a route's submissions are kept. */
export interface SubmitPolicy {
  readonly resultTtlMs: number
  /** Answered only once a replica of the store has it too. */
  readonly replicated: boolean
  /** Keeps the caller's credential with the job; null where the upstream gets none of his. */
  readonly sealer: Sealer | null
  /** Executions in all. */
  readonly attempts: number
  readonly baseDelayMs: number
  readonly maxDelayMs: number
}

/** How a cached route keeps its answers; a tenant may override the times. */
export interface CachePolicy {
  readonly identity: IdentityKind
  readonly ttlMs: number
  readonly jitter: number
  readonly early: { beta: number; max: number }
  readonly staleMs: number
  readonly errorMs: number
  readonly maxEntryBytes: number
  /** Request headers that are part of the key, in lower case. */
  readonly keyedHeaders: readonly string[]
}

export interface TenantPolicy {
  readonly name: string
  readonly paused: boolean
  /** What reaches the upstream; null = no limit. */
  readonly requests: Limit | null
  /** Every request; null = no limit. */
  readonly ingress: Limit | null
  readonly shadow: readonly string[]
  /** Its part of the scheduler. */
  readonly queue: TenantLimits
  readonly maxQueueMs: number
  /** Of limits in `shadow`: what they would allow. */
  readonly shadowed: { queueMs: number; concurrent: number }
  /** Of one result, and of all that are stored. */
  readonly maxResultBytes: number
  readonly maxResultsBytes: number
  readonly maxExecutionMs: number
  readonly cacheMaxBytes: number
  readonly cacheTimes: Partial<Pick<CachePolicy, 'ttlMs' | 'jitter' | 'staleMs' | 'errorMs'>>
}

/** What one config says about requests, compiled once so that the walk only looks things up. */
export interface Policy {
  readonly config: Config
  readonly tenancy: Tenancy
  readonly trustedProxies: TrustedProxies
  readonly routes: Router<Route>
  /** By its name; undefined when this config has none of that name. */
  route(name: string): Route | undefined
  /** For what no route matches: `mode: proxy` to the first upstream. */
  readonly fallback: Route
  /** Undefined for a tenant that is not listed where `tenants.unknown` is `reject`. */
  tenant(name: string): TenantPolicy | undefined
}

const MAX_TENANTS_REMEMBERED = 20_000

export function compilePolicy(config: Config, tenancy: Tenancy, upstreams: ReadonlyMap<string, Upstream>): Policy {
  const compile = (route: RouteSettings) => compileRoute(config, tenancy, upstreams, route)
  const tenants = new Map<string, TenantPolicy | undefined>()
  const routes = config.routes.map(compile)
  const byName = new Map(routes.map((route) => [route.name, route]))
  return {
    config,
    tenancy,
    trustedProxies: new TrustedProxies(config.server.trustedProxies),
    routes: new Router(routes),
    route: (name) => byName.get(name),
    fallback: compile({
      name: 'fallback',
      match: { path: '/*' },
      mode: 'proxy',
      auth: defaultAuth(config),
      idempotent: false,
    }),
    tenant(name) {
      if (tenants.has(name)) return tenants.get(name)
      if (tenants.size >= MAX_TENANTS_REMEMBERED) tenants.clear()
      const compiled = compileTenant(config, name)
      tenants.set(name, compiled)
      return compiled
    },
  }
}

function compileRoute(
  config: Config,
  tenancy: Tenancy,
  upstreams: ReadonlyMap<string, Upstream>,
  route: RouteSettings,
): Route {
  const upstream = route.upstream ?? Object.keys(config.upstreams)[0]!
  const settings = config.upstreams[upstream]!
  const cached = route.cache && compileCached(route.name, upstream, route.cache)
  return {
    name: route.name,
    match: route.match,
    mode: route.mode,
    auth: route.auth,
    upstream: upstreams.get(upstream)!,
    upstreamName: upstream,
    upstreamWidth: settings.maxConcurrentQueries,
    class: route.class ?? 'default',
    upstreamTimeoutMs: settings.timeout,
    connectTimeoutMs: settings.connectTimeout,
    idempotent: route.idempotent,
    headers: new HeaderRules({
      trustedHeaders: settings.trustedHeaders,
      credentials: settings.credentials,
      credentialHeaders: [...tenancy.credentialHeaders],
      credentialCookies: [...tenancy.credentialCookies],
      varyHeaders: cached?.policy.keyedHeaders ?? [],
      // What is not kept need not be keyed.
      extraHeaders: route.mode === 'queue' && !cached ? ['accept', 'accept-language'] : [],
    }),
    ...(cached && { cached }),
    ...(takesJobs(route, config) && { submit: compileSubmit(route, config) }),
  }
}

function compileSubmit(route: RouteSettings, config: Config): SubmitPolicy {
  const { resultTtl, durability, credentialKey } = route.submit ?? DEFAULT_SUBMIT
  const { attempts, baseDelay, maxDelay } = config.upstreams[route.upstream!]!.retries
  return {
    resultTtlMs: resultTtl,
    replicated: durability === 'replicated',
    sealer: forwardsCredential(route, config) ? new Sealer(credentialKey) : null,
    attempts,
    baseDelayMs: baseDelay,
    maxDelayMs: maxDelay,
  }
}

/**
 * What the file's own rules cannot see: terms of a route that contradict its key, such as a tag made of something that
 * is not part of it. In the form of a fault: where, and what.
 */
export function routeFaults(config: Config): string[] {
  const faults: string[] = []
  for (const [at, route] of config.routes.entries()) {
    const place = `routes[${at}] (${route.name})`
    try {
      if (route.cache) compileCached(route.name, route.upstream ?? '', route.cache)
      new Router([route])
    } catch (error) {
      faults.push(`${place}: ${(error as Error).message}`)
    }
  }
  return faults
}

type CacheSettings = NonNullable<RouteSettings['cache']>

function compileCached(route: string, upstream: string, cache: CacheSettings): NonNullable<Route['cached']> {
  // The type of the body changes what it means, so it is keyed on every cached route.
  const keyedHeaders = [...new Set(['content-type', ...cache.varyHeaders.map((name) => name.toLowerCase())])]
  const { body, ignoreBody, ignoreQuery, tags, bypass } = cache
  return {
    questioner: new Questioner({
      route,
      upstream,
      body,
      ignoreBody,
      ignoreQuery,
      varyHeaders: keyedHeaders,
      tags,
      bypass,
    }),
    policy: {
      identity: cache.identity,
      ttlMs: cache.ttl,
      jitter: cache.jitter,
      early: cache.earlyRefresh,
      staleMs: cache.staleWhileRevalidate,
      errorMs: cache.staleIfError,
      maxEntryBytes: cache.maxEntrySize,
      keyedHeaders,
    },
  }
}

function compileTenant(config: Config, name: string): TenantPolicy | undefined {
  const settings = tenantSettings(config, name)
  if (!settings) return undefined
  const { ttl, jitter, staleWhileRevalidate, staleIfError } = settings.cache
  return {
    name,
    paused: settings.paused,
    requests: perSecond(settings.requestsPerMinute / 60, settings.burst),
    ingress: perSecond(settings.ingressPerSecond, settings.ingressPerSecond),
    shadow: settings.shadow,
    queue: queueLimits(settings),
    // In shadow it only tells; a day is what the setting allows at most.
    maxQueueMs: settings.shadow.includes('maxQueueTime') ? DAY_MS : settings.maxQueueTime,
    shadowed: { queueMs: settings.maxQueueTime, concurrent: settings.maxConcurrentQueries },
    maxResultBytes: settings.maxResultSize,
    maxResultsBytes: settings.maxResultBytes,
    maxExecutionMs: settings.maxExecutionTime,
    cacheMaxBytes: settings.cache.maxBytes,
    cacheTimes: {
      ...(ttl !== undefined && { ttlMs: ttl }),
      ...(jitter !== undefined && { jitter }),
      ...(staleWhileRevalidate !== undefined && { staleMs: staleWhileRevalidate }),
      ...(staleIfError !== undefined && { errorMs: staleIfError }),
    },
  }
}

const DAY_MS = 86_400_000

/** More than any upstream is wide: a limit in `shadow` only tells. */
const UNLIMITED = 1_000_000

function queueLimits(settings: TenantSettings): TenantLimits {
  const hard = settings.shadow.includes('maxConcurrentQueries') ? UNLIMITED : settings.maxConcurrentQueries
  const soft = hard === UNLIMITED ? UNLIMITED : Math.min(hard, settings.softConcurrentQueries)
  return { weight: settings.weight, hard, soft, maxQueue: settings.maxQueueSize, paused: settings.paused }
}

const perSecond = (rate: number, capacity: number): Limit | null => (rate > 0 ? { capacity, perSecond: rate } : null)
