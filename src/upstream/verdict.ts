/** What the end of a request says about the health of its upstream. Pure; the breaker counts what comes out. */
import { errors } from 'undici'
import type { Verdict } from './breaker.ts'
import type { WireEnd } from './wire.ts'

/** What gateways and overloaded servers answer. A 500 is a failed query, a 429 a busy but living upstream. */
const SICK_STATUS = new Set([502, 503, 504])

export const verdictOfStatus = (status: number): Verdict => (SICK_STATUS.has(status) ? 'sick' : 'ok')

export interface AskFacts {
  /** Null when no head arrived. */
  status: number | null
  /** The time allowed is over, and it was the upstream's own limit, not a shorter one of the tenant's. */
  tooSlow: boolean
  /** The caller's signal, or the time allowed, ended it. */
  aborted: boolean
}

export function verdictOfAsk(end: WireEnd, { status, tooSlow, aborted }: AskFacts): Verdict {
  if (end.how === 'failed') return isOurFault(end.error) ? 'unknown' : 'sick'
  if (tooSlow) return 'sick'
  if (aborted || status === null) return 'unknown'
  return verdictOfStatus(status)
}

/** Closed under it, not sendable, or an answer with too large a head: none says that the upstream is sick. */
export const isOurFault = (error: unknown): boolean =>
  error instanceof errors.InvalidArgumentError ||
  error instanceof errors.NotSupportedError ||
  error instanceof errors.ClientClosedError ||
  error instanceof errors.ClientDestroyedError ||
  error instanceof errors.HeadersOverflowError

/** How a passthrough ended. */
export interface PassEnd {
  /** The upstream's status; null when no head arrived. */
  status: number | null
  failure: 'none' | 'unreachable' | 'invalid' | 'too-slow' | 'left'
  /** Nothing of the request was sent and nothing of its body read: it may be given to another URL. */
  untouched: boolean
}

export function verdictOfPass({ status, failure }: PassEnd): Verdict {
  if (failure === 'left') return 'unknown'
  if (failure !== 'none' || status === null) return 'sick'
  return verdictOfStatus(status)
}
