import type { Caller, FlatHeaders } from '../kernel/exchange.ts'
import { identityOf } from '../tenancy/identity.ts'
import type { TrustedProxies } from '../upstream/forwarded.ts'
import { type Mode, upstreamHeaders } from '../upstream/headers.ts'
import type { Admitted } from './admit.ts'
import type { Call } from './call.ts'
import type { CachePolicy, Route, TenantPolicy } from './policy.ts'
import type { Query } from './query.ts'

/** Turns a call on a cached route into its question. Throws BODY_INVALID. */
export function pose(
  call: Call,
  route: Route,
  admitted: Admitted,
  body: Buffer,
  trustedProxies: TrustedProxies,
): Query {
  const { caller, tenant } = admitted
  const { questioner, policy } = route.cached!
  const identity = identityOf(caller, policy.identity)
  const { path, query, headers } = call
  const method = call.method === 'HEAD' ? 'GET' : call.method
  const question = questioner.ask({ method, path, query, headers, body, identity })
  return {
    question,
    place: {
      key: question.key,
      tenant: policy.identity === 'shared' ? '' : (caller?.tenant ?? ''),
      tags: question.tags,
    },
    route: route.name,
    caller,
    tenant,
    cache: withTenantTimes(policy, tenant),
    upstream: route.upstream,
    idempotent: route.idempotent,
    timeoutMs: Math.min(route.upstreamTimeoutMs, tenant?.maxExecutionMs ?? Number.POSITIVE_INFINITY),
    get ask() {
      return {
        method,
        target: query ? `${path}?${query}` : path,
        headers: headersFor(call, 'cache', route, caller, trustedProxies),
        body: body.length > 0 ? body : null,
      }
    },
    acceptEncoding: headers['accept-encoding'] as string | undefined,
  }
}

/** What of a call goes upstream. */
export function headersFor(
  call: Call,
  mode: Mode,
  route: Route,
  caller: Caller | null,
  trustedProxies: TrustedProxies,
): FlatHeaders {
  const { rawHeaders, id: requestId, peer } = call
  return upstreamHeaders({ rawHeaders, mode, rules: route.headers, caller, requestId, peer, trustedProxies })
}

function withTenantTimes(policy: CachePolicy, tenant: TenantPolicy | null): CachePolicy {
  if (!tenant || isEmpty(tenant.cacheTimes)) return policy
  return { ...policy, ...tenant.cacheTimes }
}

function isEmpty(object: object): boolean {
  for (const _ in object) return false
  return true
}
