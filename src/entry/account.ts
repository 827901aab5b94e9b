import type { AccessLog } from '../telemetry/access.ts'
import type { TenantLabels } from '../telemetry/labels.ts'
import type { Metrics, Outcome } from '../telemetry/metrics.ts'
import type { Tally } from '../telemetry/tally.ts'
import type { HttpCall } from './http-call.ts'

export interface Ending {
  status: number
  outcome: Outcome
  code?: string
}

/** Counts and logs every request once, however it ended. */
export class Accounts {
  readonly #metrics: Metrics
  readonly #tally: Tally
  readonly #labels: TenantLabels
  readonly #log: AccessLog

  constructor(parts: { metrics: Metrics; tally: Tally; labels: TenantLabels; log: AccessLog }) {
    this.#metrics = parts.metrics
    this.#tally = parts.tally
    this.#labels = parts.labels
    this.#log = parts.log
  }

  settle(call: HttpCall, { status, outcome, code }: Ending): void {
    const ms = performance.now() - call.startedMs
    const { tenant, principal, route, key } = call.facts
    const label = this.#labels.of(tenant)
    this.#tally.count(label, route, outcome, ms / 1_000)
    if (code !== undefined) this.#metrics.refusals.inc({ tenant: label, code })
    const { id, method, path, timings } = call
    const { auth: authMs, cache: cacheMs, queue: queueMs, upstream: upstreamMs } = timings
    this.#log({
      id,
      tenant,
      principal,
      route,
      method,
      path,
      status,
      outcome,
      code,
      key,
      ms,
      authMs,
      cacheMs,
      queueMs,
      upstreamMs,
    })
  }
}
