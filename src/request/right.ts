import { Refusal } from '../kernel/errors.ts'
import { rateOf } from '../kernel/gcra.ts'
import { bucketId, type Grant } from '../limits/limiter.ts'
import type { Door, RateTaking, TenantLimits } from '../queue/scheduler.ts'
import type { Slot, SlotAnswer } from '../queue/slots.ts'
import { heed, takeRate } from './admit.ts'
import type { RateNotice } from './delivery.ts'
import type { House } from './house.ts'
import type { TenantPolicy } from './policy.ts'
import type { Query } from './query.ts'

/** The right to ask the upstream, for whoever leads a flight: a request asks for a slot, a job has one already. */
export interface Right {
  /** Waits for its turn. Throws what refuses it, MustQueue too; rejects with the signal's reason. */
  enter(query: Query, signal: AbortSignal): Promise<Entered>
  /** Somebody else asks the same, and is waited for: a slot that is held meanwhile is of no use. */
  ride(): Promise<void>
}

/** Who leads has lent its slot, and had better queue anew; whoever waits with it asks for himself. */
export class MustQueue extends Error {
  override readonly name = 'MustQueue'
}

export interface Entered {
  rate: RateNotice | undefined
  /** @param servedMs how long the upstream worked, null: it was not asked. Said once. */
  leave(servedMs: number | null): void
}

/** Requests of nobody in particular have no limits but the upstream's width. No tenant can have this name. */
const NOBODY = '-'
const NO_LIMITS: TenantLimits = { weight: 1, hard: 1_000_000, soft: 1_000_000, maxQueue: 10_000, paused: false }
const NOBODY_WAITS_MS = 30_000

/** A waiting request's right: a slot of its tenant, in the order of all. @param note is told how long it waited, ms */
export function waitingRight(house: House, note: (queuedMs: number) => void = () => {}): Right {
  return {
    async enter(query, signal) {
      const { tenant, upstream } = query
      upstream.checkTurn(tenant?.name ?? '') // told at once, and nothing charged
      const answer = await house.slots.take({
        wish: {
          tenant: tenant?.name ?? NOBODY,
          ...{ upstream: query.upstreamName, route: query.route, class: query.class, width: query.upstreamWidth },
        },
        limits: tenant?.queue ?? NO_LIMITS,
        door: doorOf(tenant, house),
        signal,
        maxWaitMs: tenant?.maxQueueMs ?? NOBODY_WAITS_MS,
      })
      if (answer.kind !== 'granted') throw refusalOf(answer, tenant, house)
      note(answer.slot.queuedMs)
      house.metrics.queueWait.observe(query.class, answer.slot.queuedMs / 1_000)
      if (answer.wouldRefuse) noteShadow(tenant!, 'maxQueueSize', house)
      if (tenant) noteBegun(tenant, answer.slot.queuedMs, house)
      return entered(answer, query, house)
    },
    async ride() {},
  }
}

async function entered(
  { slot, rate, degraded }: { slot: Slot; rate: RateTaking | null; degraded: boolean },
  { tenant, upstream }: Query,
  house: House,
): Promise<Entered> {
  const leave = (servedMs: number | null) => slot.release(servedMs)
  try {
    upstream.checkWait(tenant?.name ?? '')
    if (degraded) return { rate: await takeRate(tenant, upstream, house), leave }
    return { rate: rate ? noticeOf(rate, tenant!, house) : undefined, leave }
  } catch (error) {
    leave(null)
    throw error
  }
}

/** What is checked as a query or a submission of this tenant comes in. */
export function doorOf(tenant: TenantPolicy | null, house: House): Door {
  const shadow = (setting: string) => tenant?.shadow.includes(setting) === true
  const { requests = null, name = NOBODY } = tenant ?? {}
  const rate = requests && {
    ...rateOf(requests),
    bucket: bucketId(name, 'requests', requests),
    nowAt: house.clock.now(),
  }
  return { rate, shadow: { rate: shadow('requestsPerMinute'), queue: shadow('maxQueueSize') } }
}

/** What the client is told of its rate; a refusal that only tells is counted. */
export function noticeOf(taking: RateTaking, tenant: TenantPolicy, house: House): RateNotice {
  const limit = tenant.requests!
  const grant = grantOf(taking)
  return heed(grant, tenant, 'requestsPerMinute', limit, house, { limit, grant })
}

const grantOf = ({ allowed, remaining, retryAfterMs, resetMs }: RateTaking): Grant => ({
  ...{ taken: allowed, remaining, retryAfterMs, resetMs, degraded: false },
})

export function noteShadow(tenant: TenantPolicy, limit: string, house: House): void {
  house.metrics.shadowRefusals.inc({ tenant: house.tenantLabels.of(tenant.name), limit })
  house.log.info({ tenant: tenant.name, limit }, 'a limit in shadow would have refused')
}

/** Counts what limits in shadow would have kept from beginning now. Waits for nothing. */
export function noteBegun(tenant: TenantPolicy, queuedMs: number, house: House): void {
  const { shadow, shadowed } = tenant
  if (shadow.includes('maxQueueTime') && queuedMs > shadowed.queueMs) noteShadow(tenant, 'maxQueueTime', house)
  if (!shadow.includes('maxConcurrentQueries')) return
  house.scheduler.loads([tenant.name]).then(
    ([load]) => {
      if (load!.running > shadowed.concurrent) noteShadow(tenant, 'maxConcurrentQueries', house)
    },
    (error) => house.log.info({ err: error, tenant: tenant.name }, 'a limit in shadow could not be looked at'),
  )
}

/** Throws RATE_LIMITED itself, with its headers. */
export function refusalOf(
  answer: Exclude<SlotAnswer, { kind: 'granted' }>,
  tenant: TenantPolicy | null,
  house: House,
): Error {
  if (answer.kind === 'dismissed') return answer.why
  if (answer.kind === 'limited') {
    noticeOf(answer.rate, tenant!, house)
    throw new Error('a rate that refuses must be heeded')
  }
  const name = tenant ? `tenant "${tenant.name}"` : 'requests without a tenant'
  if (answer.kind === 'late') {
    const detail = `${name}: no slot within ${answer.waitMs} ms (maxQueueTime)`
    return new Refusal('QUEUE_TIMEOUT', { detail, retryAfterMs: 1_000 })
  }
  const detail = `${name}: ${answer.depth} wait already (maxQueueSize)`
  return new Refusal('QUEUE_FULL', { detail, retryAfterMs: Math.max(1_000, answer.waitMs) })
}
