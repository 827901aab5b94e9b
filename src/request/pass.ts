import { Refusal } from '../kernel/errors.ts'
import type { Caller } from '../kernel/exchange.ts'
import type { Call } from './call.ts'
import type { Delivery, RateNotice } from './delivery.ts'
import type { House } from './house.ts'
import type { Policy, Route } from './policy.ts'
import { headersFor } from './pose.ts'

/** A request that is passed on as it is, streaming, whatever it is. */
export function passOn(
  call: Call,
  route: Route,
  caller: Caller | null,
  rate: RateNotice | undefined,
  { trustedProxies }: Policy,
): Delivery {
  return {
    kind: 'proxy',
    outcome: 'proxied',
    cacheStatus: 'fwd=bypass',
    upstream: route.upstream,
    tenant: caller?.tenant ?? null,
    rules: route.headers,
    connectTimeoutMs: route.connectTimeoutMs,
    headers: headersFor(call, 'proxy', route, caller, trustedProxies),
    timeoutMs: route.upstreamTimeoutMs,
    rate,
  }
}

/** A preflight carries no token and needs none: it goes to its route's upstream as it is. */
export function passPreflight(call: Call, house: House): Delivery {
  const wanted = call.headers['access-control-request-method']
  const { policy } = house
  const route = policy.routes.find(typeof wanted === 'string' ? wanted : 'GET', call.path) ?? policy.fallback
  call.facts.route = route.name
  if (route.mode === 'deny') throw new Refusal('ROUTE_DENIED')
  return passOn(call, route, null, undefined, policy)
}
