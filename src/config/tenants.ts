/** `tenants`: what each of them may do. default < plan < its own. */
import { z } from 'zod'
import { count, duration, name, ratio, size } from './values.ts'

const SHADOWABLE = [
  ...(['requestsPerMinute', 'ingressPerSecond', 'maxConcurrentQueries'] as const),
  ...(['maxQueueSize', 'maxQueueTime', 'maxResultSize'] as const),
] as const

const limits = {
  weight: z
    .number()
    .min(0.01)
    .max(1_000)
    .describe('Its share while others wait too: twice the weight, twice the work.'),
  maxConcurrentQueries: count(1, 100_000).describe(
    'Its queries at the upstreams at once, over all processes; further ones wait in its queue.',
  ),
  softConcurrentQueries: count(0, 100_000).describe(
    'Above it only slots that nobody else wants. More than maxConcurrentQueries means the same as that.',
  ),
  requestsPerMinute: count(0, 1_000_000_000).describe(
    'Requests that reach the upstream or the queue; hits and followers are free. 0 = no limit.',
  ),
  burst: count(1, 1_000_000).describe('How many of them may come at once before the rate holds.'),
  ingressPerSecond: count(0, 1_000_000).describe('Every request, hits too. 0 = no limit.'),
  maxQueueSize: count(0, 1_000_000).describe(
    'Its queries and jobs that may wait; then QUEUE_FULL, for a longer line only makes its tail late. 0: nothing waits.',
  ),
  maxQueueTime: duration('10ms', '1d').describe(
    'Longest wait before a query runs: then QUEUE_TIMEOUT, and a job is expired.',
  ),
  maxExecutionTime: duration('10ms', '1d').describe('Longest a request may run upstream; then DEADLINE_EXCEEDED.'),
  maxResultSize: size('1KiB', '1GiB').describe('Largest result of a job; then RESULT_TOO_LARGE.'),
  maxResultBytes: size('0B', '1024GiB').describe(
    'Room for its stored results; past it, its own oldest ones go and are answered with 410 RESULT_EXPIRED.',
  ),
  paused: z.boolean().describe('true: every request is refused with TENANT_PAUSED.'),
  shadow: z
    .array(z.enum(SHADOWABLE))
    .describe('Limits that only count and log what they would refuse, to try them out.'),
}

const maxBytes = size('0B', '1024GiB').describe(
  'Room for its cached answers; past it, its own least recently used ones go.',
)

const cacheOverrides = {
  ttl: duration('0s', '7d').optional().describe("Instead of the route's `cache.ttl`."),
  jitter: ratio().optional().describe("Instead of the route's `cache.jitter`."),
  staleWhileRevalidate: duration('0s', '7d').optional().describe("Instead of the route's."),
  staleIfError: duration('0s', '7d').optional().describe("Instead of the route's."),
}

const Default = z.strictObject({
  weight: limits.weight.prefault(1),
  maxConcurrentQueries: limits.maxConcurrentQueries.prefault(4),
  softConcurrentQueries: limits.softConcurrentQueries.prefault(4),
  requestsPerMinute: limits.requestsPerMinute.prefault(600),
  burst: limits.burst.prefault(100),
  ingressPerSecond: limits.ingressPerSecond.prefault(0),
  maxQueueSize: limits.maxQueueSize.prefault(100),
  maxQueueTime: limits.maxQueueTime.prefault('30s'),
  maxExecutionTime: limits.maxExecutionTime.prefault('5m'),
  maxResultSize: limits.maxResultSize.prefault('64MiB'),
  maxResultBytes: limits.maxResultBytes.prefault('1GiB'),
  cache: z
    .strictObject({ maxBytes: maxBytes.prefault('256MiB'), ...cacheOverrides })
    .prefault({})
    .describe('Its share of the cache.'),
  paused: limits.paused.prefault(false),
  shadow: limits.shadow.prefault([]),
})

const Plan = z.strictObject({
  weight: limits.weight.optional(),
  maxConcurrentQueries: limits.maxConcurrentQueries.optional(),
  softConcurrentQueries: limits.softConcurrentQueries.optional(),
  requestsPerMinute: limits.requestsPerMinute.optional(),
  burst: limits.burst.optional(),
  ingressPerSecond: limits.ingressPerSecond.optional(),
  maxQueueSize: limits.maxQueueSize.optional(),
  maxQueueTime: limits.maxQueueTime.optional(),
  maxExecutionTime: limits.maxExecutionTime.optional(),
  maxResultSize: limits.maxResultSize.optional(),
  maxResultBytes: limits.maxResultBytes.optional(),
  cache: z
    .strictObject({ maxBytes: maxBytes.optional(), ...cacheOverrides })
    .optional()
    .describe('Its share of the cache.'),
  paused: limits.paused.optional(),
  shadow: limits.shadow.optional(),
})

const Listed = Plan.extend({ plan: z.string().optional().describe('A name out of `tenants.plans`.') })

export const Tenants = z.strictObject({
  unknown: z
    .enum(['reject', 'default'])
    .prefault('reject')
    .describe('A valid token of a tenant not listed: TENANT_UNKNOWN, or the settings of `tenants.default`.'),
  default: Default.prefault({}).describe('What every tenant has unless its plan or itself says otherwise.'),
  plans: z.record(name(), Plan).prefault({}).describe('Settings under a name, for several tenants.').meta({
    'x-as': 'tenants.default',
  }),
  list: z
    .record(name(), Listed)
    .prefault({})
    .describe('The tenants, by the name their tokens give after mapping.')
    .meta({
      'x-as': 'tenants.default, and `plan` (a name out of `tenants.plans`)',
    }),
})

export type Tenants = z.output<typeof Tenants>
export type TenantSettings = z.output<typeof Default>
export type TenantOverrides = z.output<typeof Plan>

/** What holds for one tenant; undefined when it is unknown and the unknown are rejected. */
export function tenantSettings(config: { tenants: Tenants }, tenant: string): TenantSettings | undefined {
  const { tenants } = config
  const own = Object.hasOwn(tenants.list, tenant) ? tenants.list[tenant] : undefined
  if (!own) return tenants.unknown === 'default' ? tenants.default : undefined
  const { plan, ...overrides } = own
  return withOverrides(withOverrides(tenants.default, plan ? tenants.plans[plan] : undefined), overrides)
}

/** Settings with some of them said anew; what is undefined in `overrides` stays. */
export function withOverrides(settings: TenantSettings, overrides: TenantOverrides = {}): TenantSettings {
  const { cache, ...rest } = overrides
  return { ...settings, ...defined(rest), cache: { ...settings.cache, ...defined(cache ?? {}) } }
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

const defined = <T extends object>(given: T): Defined<T> =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Defined<T>
