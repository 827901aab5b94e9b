import type { Place } from '../cache/entry.ts'
import type { Caller, FlatHeaders } from '../kernel/exchange.ts'
import type { Class } from '../queue/scheduler.ts'
import type { Question } from '../routing/question.ts'
import type { HeaderRules } from '../upstream/headers.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { CachePolicy, TenantPolicy } from './policy.ts'

/**
 * A question with all that is needed to answer it, cut loose from the socket it came by: a flight outlives the
 * request that caused it.
 */
export interface Query {
  readonly question: Question
  readonly place: Place
  readonly route: string
  readonly class: Class
  readonly upstreamName: string
  /** Of the upstream, over all processes. */
  readonly upstreamWidth: number
  readonly caller: Caller | null
  readonly tenant: TenantPolicy | null
  readonly cache: CachePolicy
  readonly upstream: Upstream
  readonly idempotent: boolean
  /** How long its caller waits for its turn, ms. */
  readonly queueMs: number
  /** How long its caller waits from then on, ms. The flight itself ends when nobody waits any more, or by the upstream's own timeout. */
  readonly deadlineMs: number
  /** What of the client's headers goes upstream. */
  readonly rules: HeaderRules
  /** `attempts`: tries in all; a job goes back into the line between two of them. */
  readonly ask: { method: string; target: string; headers: FlatHeaders; body: Buffer | null; attempts?: number }
  /** The client's Accept-Encoding: the body is stored in a coding that it takes. */
  readonly acceptEncoding: string | undefined
}
