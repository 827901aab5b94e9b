import { Counter, collectDefaultMetrics, Gauge, type Registry } from 'prom-client'
import { HotHistogram } from './histogram.ts'

/** How a request ended. Closed on purpose: a label's values are a promise to every dashboard. */
export type Outcome =
  | 'hit'
  | 'stale'
  | 'filled'
  | 'collapsed'
  | 'bypassed'
  | 'queued'
  | 'proxied'
  | 'refused'
  | 'failed'

/** From a hit in the process's own memory to a query that runs for minutes. */
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]

/**
 * Every metric of the gateway, in one place. Names end in their unit and counters in `_total`.
 * A tenant label passes through `TenantLabels`, which says `other` past telemetry.tenantLabels.
 */
export function createMetrics(registry: Registry) {
  const registers = [registry]
  /** What is asked of the scheduler when the metrics are looked at. */
  const loads: { measure: () => Promise<void> } = { measure: async () => {} }
  const collect = () => loads.measure()
  collectDefaultMetrics({ register: registry })
  return {
    loads,
    requests: counted(registry),
    requestSeconds: new HotHistogram(
      {
        name: 'sluice_request_duration_seconds',
        help: 'From the request line to the answer handed to the socket.',
        labelNames: ['route', 'outcome'],
        buckets: SECONDS,
      },
      registry,
    ),
    refusals: new Counter({
      name: 'sluice_refusals_total',
      help: 'Requests refused by the gateway, by error code.',
      labelNames: ['tenant', 'code'] as const,
      registers,
    }),
    shadowRefusals: new Counter({
      name: 'sluice_shadow_refusals_total',
      help: 'Requests that a limit in `shadow` would have refused.',
      labelNames: ['tenant', 'limit'] as const,
      registers,
    }),
    queueDepth: new Gauge({
      name: 'sluice_queue_depth',
      help: 'Jobs and waiting requests in line now, over all processes.',
      aggregator: 'max',
      labelNames: ['tenant', 'class'] as const,
      collect,
      registers,
    }),
    queueOldest: new Gauge({
      name: 'sluice_queue_oldest_seconds',
      help: 'How long the first of a tenant’s line has waited.',
      aggregator: 'max',
      labelNames: ['tenant'] as const,
      collect,
      registers,
    }),
    running: new Gauge({
      name: 'sluice_running_queries',
      help: 'Queries that run upstream now, over all processes.',
      aggregator: 'max',
      labelNames: ['tenant'] as const,
      collect,
      registers,
    }),
    queueWait: new HotHistogram(
      {
        name: 'sluice_queue_wait_seconds',
        help: 'From the asking for a slot, or the entering of the line, to the start.',
        labelNames: ['class'],
        buckets: SECONDS,
      },
      registry,
    ),
    jobs: new Counter({
      name: 'sluice_jobs_total',
      help: 'Jobs by how they ended; `queued` counts the accepted ones.',
      labelNames: ['tenant', 'status'] as const,
      registers,
    }),
    jobSeconds: new HotHistogram(
      {
        name: 'sluice_job_duration_seconds',
        help: 'One attempt of a job, from its claim to its end.',
        labelNames: ['class'],
        buckets: SECONDS,
      },
      registry,
    ),
    jobRetries: new Counter({
      name: 'sluice_job_retries_total',
      help: 'Jobs that went back into the line after a failure.',
      labelNames: ['tenant'] as const,
      registers,
    }),
    leasesLost: new Counter({
      name: 'sluice_leases_lost_total',
      help: 'Leases of jobs that ran out, and results that came too late to be kept.',
      registers,
    }),
    workers: new Gauge({ name: 'sluice_workers', help: 'Jobs that may run at a time, over all processes.', registers }),
    resultBytes: new Gauge({
      name: 'sluice_result_bytes',
      help: 'Coded bytes of results that this process has stored: with the job, and in files or Redis keys.',
      labelNames: ['tier'] as const,
      registers,
    }),
    upstreamRequests: new Counter({
      name: 'sluice_upstream_requests_total',
      help: 'Requests sent upstream, by status; `error` where no answer came.',
      labelNames: ['upstream', 'status'] as const,
      registers,
    }),
    upstreamSeconds: new HotHistogram(
      {
        name: 'sluice_upstream_duration_seconds',
        help: 'From asking an upstream to the last byte of its answer.',
        labelNames: ['upstream'],
        buckets: SECONDS,
      },
      registry,
    ),
    upstreamRetries: new Counter({
      name: 'sluice_upstream_retries_total',
      help: 'Attempts beyond the first.',
      labelNames: ['upstream'] as const,
      registers,
    }),
    cacheBytes: new Gauge({
      name: 'sluice_cache_bytes',
      help: "Bytes held by this process's tiers.",
      labelNames: ['tier'] as const,
      registers,
    }),
    cacheEntries: new Gauge({
      name: 'sluice_cache_entries',
      help: "Entries held by this process's tiers.",
      labelNames: ['tier'] as const,
      registers,
    }),
    cacheEvictions: new Counter({
      name: 'sluice_cache_evictions_total',
      help: 'Entries dropped because a bound was hit.',
      labelNames: ['tier'] as const,
      registers,
    }),
    cacheErrors: new Counter({
      name: 'sluice_cache_errors_total',
      help: 'Cache operations that failed; the request went on without.',
      labelNames: ['op'] as const,
      registers,
    }),
    cacheFills: new Counter({
      name: 'sluice_cache_fills_total',
      help: 'Answers offered to the cache, by what became of them.',
      labelNames: ['result'] as const,
      registers,
    }),
    followers: new Counter({
      name: 'sluice_flight_followers_total',
      help: 'Requests answered by somebody else’s flight, in this process or by another one of the fleet.',
      labelNames: ['scope'] as const,
      registers,
    }),
    flightOverflows: new Counter({
      name: 'sluice_flight_overflows_total',
      help: 'Flights that could not be shared because too many were in the air.',
      registers,
    }),
    processes: new Gauge({
      name: 'sluice_processes',
      help: 'Gateway processes that share the store, as last known.',
      aggregator: 'max',
      registers,
    }),
    takeovers: new Counter({
      name: 'sluice_flight_takeovers_total',
      help: 'Flights taken over from a leader that went silent.',
      registers,
    }),
    breakerState: new Gauge({
      name: 'sluice_breaker_state',
      help: '0 closed, 1 half-open, 2 open. Of several processes: the worst.',
      aggregator: 'max',
      labelNames: ['upstream'] as const,
      registers,
    }),
    upstreamHealthy: new Gauge({
      name: 'sluice_upstream_healthy',
      help: 'Healthy addresses of an upstream. Of several processes: the fewest seen.',
      aggregator: 'min',
      labelNames: ['upstream'] as const,
      registers,
    }),
    storeUp: new Gauge({
      name: 'sluice_store_up',
      help: '1 while the shared store answers. Of several processes: 0 when one cannot reach it.',
      aggregator: 'min',
      registers,
    }),
    storeSeconds: new HotHistogram(
      {
        name: 'sluice_store_duration_seconds',
        help: 'Calls to the shared store.',
        labelNames: ['op'],
        buckets: [0.0002, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1],
      },
      registry,
    ),
    configReloads: new Counter({
      name: 'sluice_config_reloads_total',
      help: 'Config reloads, by result.',
      labelNames: ['result'] as const,
      registers,
    }),
    connections: new Gauge({ name: 'sluice_connections', help: 'Open connections on the data port.', registers }),
  }
}

/** A counter that is told what happened when it is looked at (Tally). */
function counted(registry: Registry) {
  const tellers = new Set<() => void>()
  const counter = new Counter({
    name: 'sluice_requests_total',
    help: 'Requests answered, by how they ended.',
    labelNames: ['tenant', 'route', 'outcome'] as const,
    registers: [registry],
    collect() {
      for (const tell of tellers) tell()
    },
  })
  return { counter, onCollect: (tell: () => void) => void tellers.add(tell) }
}

export type Metrics = ReturnType<typeof createMetrics>
