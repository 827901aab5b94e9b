/** `upstreams`: the query APIs behind the gateway. */
import { z } from 'zod'
import { count, duration, headerName, name, patterned, ratio, secret, upstreamUrl } from './values.ts'

const Breaker = z.strictObject({
  window: duration('1s', '10m').prefault('30s').describe('The time over which failures are counted.'),
  volumeThreshold: count(1, 100_000)
    .prefault(20)
    .describe('Fewer requests than this in a window say nothing about the upstream.'),
  errorThresholdPercentage: count(1, 100)
    .prefault(50)
    .describe('Percent of failures in a window at which the breaker opens.'),
  resetTimeout: duration('100ms', '10m').prefault('5s').describe('How long it stays open before one request probes.'),
  maxResetTimeout: duration('100ms', '1h').prefault('60s').describe('A failed probe doubles the wait, up to this.'),
})

const Retries = z.strictObject({
  attempts: count(1, 10).prefault(2).describe('Tries in all, the first included. 1 = nothing is sent again.'),
  baseDelay: duration('1ms', '1m')
    .prefault('200ms')
    .describe('The first wait is drawn from 0 to this; each further one from twice as much.'),
  maxDelay: duration('1ms', '10m')
    .prefault('30s')
    .describe('The longest wait, and the longest Retry-After of the upstream that is waited for.'),
  budget: ratio()
    .prefault(0.1)
    .describe('Retries per request over all requests: keeps a sick upstream from being asked twice by everyone.'),
})

const HealthCheck = z.strictObject({
  path: patterned(/^\/\S*$/, 'a path')
    .prefault('/health')
    .describe('Asked with GET; a 2xx says healthy.'),
  interval: duration('100ms', '1h').prefault('5s').describe('How often each URL is asked.'),
})

const trusted = (what: string, standard: string) =>
  headerName().prefault(standard).describe(`The header that names the ${what}.`)

const TrustedHeaders = z.strictObject({
  tenant: trusted('tenant', 'X-Tenant-Id'),
  principal: trusted('principal', 'X-Principal-Id'),
})

const OwnCredential = z.strictObject({
  header: headerName().describe('The header that carries it.'),
  value: secret().min(1).describe('Its value, such as `Bearer TOKEN`; best taken from the environment.'),
})

export const Upstream = z.strictObject({
  urls: z.array(upstreamUrl()).min(1).max(256).describe('Several: the least busy healthy one is asked.'),
  connectTimeout: duration('10ms', '1m').prefault('2s').describe('Longest wait for a connection.'),
  timeout: duration('10ms', '1h').prefault('5m').describe('Longest wait for a whole answer.'),
  maxConnections: count(1, 10_000)
    .prefault(128)
    .describe('Connections to each URL, per process. Further requests wait for one.'),
  maxConcurrentQueries: count(1, 100_000)
    .prefault(32)
    .describe('Its width: how many queries it is asked at once, over all processes. Further ones wait in the queue.'),
  breaker: Breaker.prefault({}).describe('When an upstream is left alone because it fails.'),
  retries: Retries.prefault({}).describe(
    'Sending again what failed: only what cannot have started, or what a route calls idempotent.',
  ),
  healthCheck: HealthCheck.nullable()
    .prefault(null)
    .describe('Asks every URL now and then. null: only real requests tell.'),
  trustedHeaders: TrustedHeaders.prefault({}).describe(
    'Set by the gateway from the verified token, and stripped from what clients send.',
  ),
  credentials: z
    .union([z.enum(['forward', 'strip']), OwnCredential])
    .prefault('forward')
    .describe("What the upstream gets to see: the caller's own credential, none, or the gateway's."),
})

export const Upstreams = z.record(name(), Upstream)

export type Upstream = z.output<typeof Upstream>
