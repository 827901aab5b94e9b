import type { Cache } from '../cache/cache.ts'
import type { Fleet } from '../flight/fleet.ts'
import type { Flights } from '../flight/flights.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Ingress } from '../limits/ingress.ts'
import type { Limiter } from '../limits/limiter.ts'
import type { Scheduler } from '../queue/scheduler.ts'
import type { Slots } from '../queue/slots.ts'
import type { Watches } from '../queue/watches.ts'
import type { Results } from '../results/results.ts'
import type { TenantLabels } from '../telemetry/labels.ts'
import type { Log } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Landing } from './landing.ts'
import type { Policy } from './policy.ts'

/** The rooms, as the walk of a request finds them. gateway.ts furnishes it. */
export interface House {
  /** What the config says now; replaced as a whole by a reload. A request takes it once, at its door. */
  policy: Policy
  readonly cache: Cache
  readonly flights: Flights<Landing>
  readonly fleet: Fleet
  readonly limiter: Limiter
  readonly ingress: Ingress
  /** Who may ask which upstream next: jobs, and through `slots` waiting requests. */
  readonly scheduler: Scheduler
  readonly slots: Slots
  readonly watches: Watches
  readonly results: Results
  /** Something of the scheduler's will be due then, ms since the epoch. */
  readonly onDue: (at: number) => void
  readonly clock: Clock
  readonly random: () => number
  readonly metrics: Metrics
  readonly tenantLabels: TenantLabels
  readonly log: Log
}
