import type { Entry } from '../cache/entry.ts'
import { type Freshness, freshness } from '../cache/freshness.ts'
import { Refusal } from '../kernel/errors.ts'
import { type Admitted, admit, takeRate } from './admit.ts'
import type { Call } from './call.ts'
import type { Delivery } from './delivery.ts'
import { fly } from './fly.ts'
import type { House } from './house.ts'
import { passOn } from './pass.ts'
import type { Route } from './policy.ts'
import { pose } from './pose.ts'
import { preferences } from './prefer.ts'
import { recall } from './recall.ts'
import { refresh, shouldRefresh } from './refresh.ts'
import { cacheStatus } from './status.ts'
import { submit } from './submit.ts'

/**
 * The walk of one request (DESIGN 2). Each line is a room; what a room refuses is thrown as a Refusal and becomes a
 * problem document at the door. On a hit in the process's own tier nothing here waits for anything.
 */
export async function handle(call: Call, house: House): Promise<Delivery> {
  const policy = house.policy
  // routing: the first route that matches; it says whether a token is needed.
  const route = policy.routes.find(call.method, call.path) ?? policy.fallback
  call.facts.route = route.name
  if (route.mode === 'deny') throw new Refusal('ROUTE_DENIED')

  // tenancy: credentials become a caller, a tenant, an identity.
  const admission = admit(call, route, policy, house)
  const admitted = admission instanceof Promise ? await timed(admission, call, house) : admission
  if (route.mode === 'proxy')
    return passOn(call, route, admitted.caller, await takeRate(admitted.tenant, route.upstream, house), policy)

  // A route of jobs, or a client that would rather not wait: what it asks is put in the line and answered later.
  if (route.submit && wantsJob(call, route, admitted)) return submit(call, route, admitted, house)

  // question: the body is read, and what was asked becomes a key.
  const query = pose(call, route, admitted, await call.body(), policy.trustedProxies)
  call.facts.key = query.question.key

  // cache: fresh is delivered, stale is delivered while one refresh flies, a marker says that flights are of no use here.
  const recalled = query.question.bypass === null ? recall(call, query, house) : null
  const found = recalled instanceof Promise ? await recalled : recalled
  const worth = found?.kind === 'entry' ? freshness(found.entry, call.startedAt) : 'expired'
  if (found?.kind === 'entry' && (worth === 'fresh' || worth === 'stale')) {
    if (shouldRefresh(found.entry, worth, query, call.startedAt, house)) refresh(query, found.entry, house)
    return remembered(found.entry, worth, call.startedAt)
  }

  // flight: join the one that asks this already, or lead it. queue: the leader takes a slot of its tenant, at once or in
  // its turn. upstream: it is asked; everyone who waits is answered by the one answer.
  return fly(call, query, found, house)
}

/** A cached route takes jobs from those who say that they would rather not wait, and whose they can be. */
function wantsJob(call: Call, route: Route, { caller }: Admitted): boolean {
  if (route.mode === 'queue') return true
  const { respondAsync, waitMs } = preferences(call.headers.prefer)
  return caller !== null && (respondAsync || waitMs !== null)
}

/** A token that is not remembered takes its time; one that is takes none. */
async function timed<T>(admission: Promise<T>, call: Call, house: House): Promise<T> {
  const admitted = await admission
  call.timings.auth = house.clock.now() - call.startedAt
  return admitted
}

function remembered(entry: Entry, worth: Freshness, nowAt: number): Delivery {
  const ageMs = Math.max(0, nowAt - entry.storedAt)
  const ttlMs = entry.ttlMs - ageMs
  if (worth === 'fresh') return { kind: 'entry', outcome: 'hit', entry, ageMs, cacheStatus: cacheStatus.hit(ttlMs) }
  return { kind: 'entry', outcome: 'stale', entry, ageMs, cacheStatus: cacheStatus.stale(ttlMs) }
}
