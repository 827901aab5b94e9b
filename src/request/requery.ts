import type { RefusalCode } from '../kernel/errors.ts'
import type { FlatHeaders } from '../kernel/exchange.ts'
import type { Claimed } from '../queue/scheduler.ts'
import type { Order } from './order.ts'
import type { CachePolicy, Route, TenantPolicy } from './policy.ts'
import { deadlineMs, UNKEYED, withTenantTimes } from './pose.ts'
import type { Query } from './query.ts'

/** A query made again from a job's order, under the config of now; or why that cannot be. */
export function requery(
  order: Order,
  claimed: Claimed,
  route: Route,
  tenant: TenantPolicy,
  nowAt: number,
): Query | { error: RefusalCode; detail: string } {
  const { expiresAt } = order.caller
  if (order.sealed && expiresAt !== null && expiresAt <= nowAt)
    return { error: 'TOKEN_EXPIRED', detail: 'the caller’s token expired before it was the job’s turn' }
  const secret = order.sealed ? opened(order.sealed, claimed.id, route) : []
  if (!secret) return { error: 'TOKEN_INVALID', detail: 'the credential was sealed with a key that is not configured' }
  const { policy } = route.cached ?? {}
  const { credentials } = route.headers
  const own = typeof credentials === 'object' ? [credentials.header.toLowerCase(), credentials.value] : []
  const { method, target, headers, body, question } = order
  return {
    question: question ? { ...question, bodyDigest: '' } : UNKEYED,
    place: {
      key: question?.key ?? '',
      tenant: policy?.identity === 'shared' ? '' : claimed.tenant,
      tags: question?.tags ?? [],
    },
    ...{ route: route.name, class: route.class, caller: order.caller, tenant },
    ...{ upstream: route.upstream, upstreamName: route.upstreamName, upstreamWidth: route.upstreamWidth },
    cache: policy ? withTenantTimes(policy, tenant) : (undefined as unknown as CachePolicy),
    ...{ idempotent: route.idempotent, queueMs: tenant.maxQueueMs, deadlineMs: deadlineMs(route, tenant) },
    rules: route.headers,
    ask: { method, target, headers: [...headers, ...secret, ...own], body, attempts: 1 },
    acceptEncoding: order.acceptEncoding,
  }
}

function opened(sealed: Buffer, id: string, route: Route): FlatHeaders | null {
  const plain = route.submit!.sealer?.open(sealed, id)
  return plain ? (JSON.parse(plain.toString()) as FlatHeaders) : null
}
