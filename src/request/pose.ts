import type { Place } from '../cache/entry.ts'
import type { Caller, FlatHeaders } from '../kernel/exchange.ts'
import type { Class } from '../queue/scheduler.ts'
import type { Question } from '../routing/question.ts'
import { identityOf } from '../tenancy/identity.ts'
import type { TrustedProxies } from '../upstream/forwarded.ts'
import { type HeaderRules, type Mode, upstreamHeaders } from '../upstream/headers.ts'
import type { Upstream } from '../upstream/upstream.ts'
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
  const { questioner, policy } = route.cached!
  const identity = identityOf(admitted.caller, policy.identity)
  const { path, query, headers } = call
  const method = call.method === 'HEAD' ? 'GET' : call.method
  const question = questioner.ask({ method, path, query, headers, body, identity })
  return new CallQuery(question, call, route, admitted, body, trustedProxies)
}

/** The same for a call whose answer is not kept, so that it has no key. */
export function poseUnkeyed(
  call: Call,
  route: Route,
  admitted: Admitted,
  body: Buffer,
  trustedProxies: TrustedProxies,
): Query {
  return new CallQuery(UNKEYED, call, route, admitted, body, trustedProxies)
}

export const UNKEYED: Question = Object.freeze({ key: '', tags: [], bypass: null, bodyDigest: '' })

/** Works out only what is asked of it: a hit in near memory asks for next to nothing. */
class CallQuery implements Query {
  readonly question: Question
  readonly caller: Caller | null
  readonly tenant: TenantPolicy | null
  readonly #call: Call
  readonly #route: Route
  readonly #body: Buffer
  readonly #trustedProxies: TrustedProxies
  #place: Place | undefined
  #cache: CachePolicy | undefined

  constructor(
    question: Question,
    call: Call,
    route: Route,
    { caller, tenant }: Admitted,
    body: Buffer,
    trustedProxies: TrustedProxies,
  ) {
    this.question = question
    this.caller = caller
    this.tenant = tenant
    this.#call = call
    this.#route = route
    this.#body = body
    this.#trustedProxies = trustedProxies
  }

  get place(): Place {
    const { key, tags } = this.question
    const isShared = this.#route.cached!.policy.identity === 'shared'
    this.#place ??= { key, tenant: isShared ? '' : (this.caller?.tenant ?? ''), tags }
    return this.#place
  }

  get cache(): CachePolicy {
    this.#cache ??= withTenantTimes(this.#route.cached!.policy, this.tenant)
    return this.#cache
  }

  get route(): string {
    return this.#route.name
  }

  get class(): Class {
    return this.#route.class
  }

  get upstreamName(): string {
    return this.#route.upstreamName
  }

  get upstreamWidth(): number {
    return this.#route.upstreamWidth
  }

  get queueMs(): number {
    return this.tenant?.maxQueueMs ?? 0
  }

  get upstream(): Upstream {
    return this.#route.upstream
  }

  get idempotent(): boolean {
    return this.#route.idempotent
  }

  get rules(): HeaderRules {
    return this.#route.headers
  }

  get deadlineMs(): number {
    return deadlineMs(this.#route, this.tenant)
  }

  get acceptEncoding(): string | undefined {
    return this.#call.headers['accept-encoding'] as string | undefined
  }

  get ask(): Query['ask'] {
    const { path, query, method } = this.#call
    return {
      method: method === 'HEAD' ? 'GET' : method,
      target: query ? `${path}?${query}` : path,
      headers: headersFor(this.#call, 'cache', this.#route, this.caller, this.#trustedProxies),
      body: this.#body.length > 0 ? this.#body : null,
    }
  }
}

/** Room for what comes before and after the upstream: the lease, the cache. */
const SLACK_MS = 1_000

/**
 * The tenant's own limit; where the upstream's timeout is no longer, that one shall pass first: it tells the breaker
 * that the upstream hangs, while a caller who leaves says nothing about it.
 */
export function deadlineMs({ upstreamTimeoutMs }: Route, tenant: TenantPolicy | null): number {
  const own = tenant?.maxExecutionMs ?? Number.POSITIVE_INFINITY
  return own < upstreamTimeoutMs ? own : upstreamTimeoutMs + SLACK_MS
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

export function withTenantTimes(policy: CachePolicy, tenant: TenantPolicy | null): CachePolicy {
  if (!tenant || isEmpty(tenant.cacheTimes)) return policy
  return { ...policy, ...tenant.cacheTimes }
}

function isEmpty(object: object): boolean {
  for (const _ in object) return false
  return true
}
