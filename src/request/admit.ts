import { Refusal } from '../kernel/errors.ts'
import type { Caller } from '../kernel/exchange.ts'
import { rateHeaders } from '../limits/headers.ts'
import type { Grant, Limit } from '../limits/limiter.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { Call } from './call.ts'
import type { RateNotice } from './delivery.ts'
import type { House } from './house.ts'
import type { Policy, Route, TenantPolicy } from './policy.ts'

/** Who may go on: the caller with his tenant, or nobody in particular on a route that allows it. */
export interface Admitted {
  caller: Caller | null
  tenant: TenantPolicy | null
}

const NOBODY: Admitted = { caller: null, tenant: null }

/** Throws TOKEN_*, TENANT_*, RATE_LIMITED (ingress). Synchronous for a remembered token without an ingress limit. */
export function admit(call: Call, route: Route, policy: Policy, house: House): Admitted | Promise<Admitted> {
  if (route.auth === 'none') return NOBODY
  const caller = policy.tenancy.identify(call.headers, call.rawHeaders)
  if (caller instanceof Promise) return caller.then((caller) => enter(call, caller, route, policy, house))
  return enter(call, caller, route, policy, house)
}

function enter(
  call: Call,
  caller: Caller | null,
  route: Route,
  policy: Policy,
  house: House,
): Admitted | Promise<Admitted> {
  if (caller === null) {
    if (route.auth === 'required') throw new Refusal('TOKEN_MISSING')
    return NOBODY
  }
  call.facts.tenant = caller.tenant
  call.facts.principal = caller.principal
  const tenant = policy.tenant(caller.tenant)
  if (!tenant)
    throw new Refusal('TENANT_UNKNOWN', { detail: `tenant "${caller.tenant}" is not listed in this gateway` })
  if (tenant.paused) throw new Refusal('TENANT_PAUSED')
  const admitted = { caller, tenant }
  if (!tenant.ingress) return admitted
  const grant = house.ingress.tryTake(tenant.name, tenant.ingress)
  if (grant instanceof Promise)
    return grant.then((grant) => heed(grant, tenant, 'ingressPerSecond', tenant.ingress!, house, admitted))
  return heed(grant, tenant, 'ingressPerSecond', tenant.ingress, house, admitted)
}

/** Takes one token for a request that is about to reach the upstream. A refusal, BREAKER_OPEN too, charges nothing. */
export async function takeRate(
  tenant: TenantPolicy | null,
  upstream: Upstream,
  house: House,
): Promise<RateNotice | undefined> {
  if (!tenant?.requests) return undefined
  upstream.check(tenant.name)
  const grant = await house.limiter.take(tenant.name, 'requests', tenant.requests)
  return heed(grant, tenant, 'requestsPerMinute', tenant.requests, house, { limit: tenant.requests, grant })
}

/** The result, unless the grant refuses it: then RATE_LIMITED, or a count where the limit only tells. */
export function heed<T>(grant: Grant, tenant: TenantPolicy, setting: string, limit: Limit, house: House, result: T): T {
  if (grant.taken) return result
  if (tenant.shadow.includes(setting)) {
    house.metrics.shadowRefusals.inc({ tenant: house.tenantLabels.of(tenant.name), limit: setting })
    return result
  }
  throw new Refusal('RATE_LIMITED', {
    detail: `tenant "${tenant.name}" is over its ${setting}`,
    retryAfterMs: Math.max(grant.retryAfterMs, 1),
    headers: rateHeaders(setting === 'requestsPerMinute' ? 'requests' : 'ingress', limit, grant),
  })
}
