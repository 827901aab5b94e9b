import type { Claimed, Ending, Finished, Ticked } from '../queue/scheduler.ts'
import type { House } from './house.ts'
import { dropResult } from './keep.ts'

/** Counts and logs what a tick did, and drops what forgotten jobs named elsewhere. */
export function noteTicked({ ended, lost, forgotten, held }: Ticked, house: House): void {
  const { metrics, log, tenantLabels } = house
  if (lost > 0) {
    metrics.leasesLost.inc(lost)
    log.warn({ lost }, 'leases of jobs ran out: their workers died, or stalled; the jobs are back in line')
  }
  for (const { id, tenant, status } of ended) {
    metrics.jobs.inc({ tenant: tenantLabels.of(tenant), status })
    log.info({ job: id, tenant, status }, 'a job ended in the line')
  }
  for (const { id, tenant, result } of forgotten) void dropResult(tenant, id, result, house)
  if (held) house.slots.held()
}

interface End {
  claimed: Claimed
  finished: Finished
  ending: Ending
  tookMs: number
}

/** Counts and logs how an attempt of a job ended. */
export function noteEnd({ claimed, finished, ending, tookMs }: End, house: House): void {
  const { metrics, log, tenantLabels } = house
  const { id, tenant, route, class: cls, attempt, queuedMs } = claimed
  metrics.queueWait.observe(cls, queuedMs / 1_000)
  metrics.jobSeconds.observe(cls, tookMs / 1_000)
  const line = { job: id, tenant, route, attempt, queuedMs, ms: tookMs }
  const { kept, status } = finished
  if (!kept) {
    if (status !== 'cancelled') metrics.leasesLost.inc()
    log.info({ ...line, status: status ?? 'lost' }, 'an attempt of a job came to nothing: it was not its any more')
    return
  }
  if (ending.how === 'succeeded' || ending.how === 'failed')
    metrics.jobs.inc({ tenant: tenantLabels.of(tenant), status: ending.how })
  const error = ending.how === 'failed' ? { error: ending.error } : {}
  log.info({ ...line, how: ending.how, ...error }, 'an attempt of a job ended')
}
