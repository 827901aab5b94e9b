import type { FlatHeaders } from '../kernel/exchange.ts'
import type { Grant, Limit } from './limiter.ts'

/** A policy's name as clients see it, and the window its quota is told for, seconds. */
const WINDOW_SECONDS = { requests: 60, ingress: 1 } as const

export type PolicyName = keyof typeof WINDOW_SECONDS

/**
 * What is left of a limit, as draft-ietf-httpapi-ratelimit-headers-11 writes it (structured fields, RFC 9651):
 *
 *   ratelimit-policy: "requests";q=600;w=60
 *   ratelimit: "requests";r=99;t=10
 *
 * `q` is the lasting rate over `w` seconds. `r` is what may be asked at once (never above the burst), `t` the seconds
 * until all of it is back, or after a refusal until it is worth asking again: the same instant as Retry-After's.
 * A limit that each process enforces for itself (the store is away) says so with the parameter `sluice-degraded`;
 * the draft asks for a vendor's name on parameters of one's own.
 */
export function rateHeaders(name: PolicyName, limit: Limit, grant: Grant): FlatHeaders {
  const windowSeconds = WINDOW_SECONDS[name]
  const quota = Math.max(1, Math.floor(limit.perSecond * windowSeconds + 1e-6)) // 600 / 60 * 60 may be 599.99…
  const untilSeconds = grant.taken ? Math.ceil(grant.resetMs / 1_000) : retryAfterSeconds(grant.retryAfterMs)
  const degraded = grant.degraded ? ';sluice-degraded' : ''
  return [
    'ratelimit-policy',
    `"${name}";q=${quota};w=${windowSeconds}`,
    'ratelimit',
    `"${name}";r=${Math.max(0, grant.remaining)};t=${untilSeconds}${degraded}`,
  ]
}

/** Retry-After in whole seconds: never earlier than it is worth asking again, and never 0. */
export const retryAfterSeconds = (retryAfterMs: number): number => Math.max(1, Math.ceil(retryAfterMs / 1_000))
