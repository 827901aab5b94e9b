import { Refusal } from '../kernel/errors.ts'
import type { FlatHeaders } from '../kernel/exchange.ts'
import type { JobRecord } from '../queue/scheduler.ts'
import { admit } from './admit.ts'
import type { Call } from './call.ts'
import type { Delivery } from './delivery.ts'
import { documentAnswer, hasEnded, jobDocument, principalDigest } from './document.ts'
import type { House } from './house.ts'
import { asksForEvents, eventsOf } from './jobs.events.ts'
import { isJobId, listPage } from './jobs.list.ts'
import { orUnavailable, resultDelivery, whenEnded } from './jobs.result.ts'
import type { Policy } from './policy.ts'
import { preferenceApplied, preferences } from './prefer.ts'

export { resultDelivery, whenEnded } from './jobs.result.ts'

/** One request for jobs, by somebody who is known. */
interface Visit {
  call: Call
  house: House
  /** Aborts when the gateway shuts down: what is held is answered as it is. */
  closing: AbortSignal
  tenant: string
  principal: string
}

type Asked = { what: 'list' } | { what: 'show' | 'result' | 'cancel'; id: string }

/** The walk of one request about jobs (CONTRACT 3). A job is its owner's alone: to anybody else there is no such job. */
export async function jobs(call: Call, house: House, closing: AbortSignal): Promise<Delivery> {
  call.facts.route = 'jobs'
  const asked = askedOf(call)
  try {
    const visit = { call, house, closing, ...(await identify(call, house)) }
    if (asked.what === 'list') return told(await listPage(visit, call.query, house))
    const record = await look(asked.id, visit)
    if (asked.what === 'cancel') return await cancel(record, visit)
    return await (asked.what === 'show' ? show(record, visit) : result(record, visit))
  } catch (error) {
    throw orUnavailable(error)
  }
}

const PATH = /^\/_sluice\/jobs(?:\/(?<id>[^/]+)(?<result>\/result)?)?$/

function askedOf({ method, path }: Call): Asked {
  const isRead = method === 'GET' || method === 'HEAD'
  const { id, result } = PATH.exec(path)?.groups ?? {}
  if (isRead && id !== undefined) return { what: result === undefined ? 'show' : 'result', id }
  if (isRead && PATH.test(path)) return { what: 'list' }
  if (method === 'DELETE' && id !== undefined && result === undefined) return { what: 'cancel', id }
  const detail = 'here are GET /_sluice/jobs, GET and DELETE /_sluice/jobs/{id}, and GET /_sluice/jobs/{id}/result'
  throw new Refusal('NOT_FOUND', { detail })
}

/** As at every door, save that a token is always needed, and that a paused tenant may look after what it has. */
async function identify(call: Call, house: House): Promise<Pick<Visit, 'tenant' | 'principal'>> {
  const { policy } = house
  const { caller } = await admit(call, { ...policy.fallback, auth: 'required' }, withoutPause(policy), house)
  call.timings.auth = house.clock.now() - call.startedAt
  return { tenant: caller!.tenant, principal: principalDigest(caller!) }
}

const withoutPause = (policy: Policy): Policy => ({
  ...policy,
  tenant(name) {
    const tenant = policy.tenant(name)
    return tenant && { ...tenant, paused: false }
  },
})

async function look(id: string, { house, tenant, principal }: Visit): Promise<JobRecord> {
  const record = isJobId(id) ? await house.scheduler.look(tenant, id) : null
  if (record?.principal !== principal) throw new Refusal('JOB_NOT_FOUND')
  return record
}

async function show(record: JobRecord, visit: Visit): Promise<Delivery> {
  const { headers } = visit.call
  if (asksForEvents(headers.accept)) return eventsOf(record, headers['last-event-id'], visit.house)
  const { held, applied } = await hold(record, visit)
  return told(jobDocument(held), applied)
}

async function result(record: JobRecord, visit: Visit): Promise<Delivery> {
  const { held, applied } = await hold(record, visit)
  return resultDelivery(visit.call, held, { outcome: 'hit' }, applied, visit.house)
}

/** As long as the client prefers to wait, unless the job has ended. */
async function hold(record: JobRecord, visit: Visit): Promise<{ held: JobRecord; applied: FlatHeaders }> {
  const { call, house, closing } = visit
  const { waitMs } = preferences(call.headers.prefer)
  if (waitMs === null) return { held: record, applied: [] }
  const held = await whenEnded(record, waitMs, call.signal, house, closing)
  return { held, applied: ['preference-applied', preferenceApplied({ waitMs })] }
}

async function cancel(record: JobRecord, { house, tenant }: Visit): Promise<Delivery> {
  if (hasEnded(record)) return told(jobDocument(record))
  const done = await house.scheduler.cancel(tenant, record.id, house.slots.wish(0))
  if (!done) throw new Refusal('JOB_NOT_FOUND')
  if (done.cancelled) house.metrics.jobs.inc({ tenant: house.tenantLabels.of(tenant), status: 'cancelled' })
  return told(jobDocument(done.record))
}

const told = (document: object, headers: FlatHeaders = []): Delivery => ({
  kind: 'answer',
  outcome: 'queued',
  answer: documentAnswer(200, document, headers),
})
