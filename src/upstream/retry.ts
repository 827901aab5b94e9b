import type { Clock } from '../kernel/clock.ts'

export interface RetryPolicy {
  /** Tries in all, the first included. */
  attempts: number
  baseDelayMs: number
  maxDelayMs: number
  /** Retries allowed as a share of requests: 0.1 is one retry for ten requests. */
  budget: number
}

/**
 * Wait before retry `n` (1 for the first), in ms: uniform on [0, min(maxDelayMs, baseDelayMs * 2^(n-1))).
 * "Full jitter", from Exponential Backoff And Jitter, AWS Architecture Blog, 2015.
 * @param random a draw from [0, 1)
 */
export function backoffMs(policy: Pick<RetryPolicy, 'baseDelayMs' | 'maxDelayMs'>, n: number, random: number): number {
  return random * Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** (n - 1))
}

export interface Failure {
  /** False when not a byte was sent, so that the upstream cannot have started. */
  sent: boolean
  /** What the upstream itself asked for with `Retry-After`; null if nothing. */
  retryAfterMs: number | null
}

/** How long to wait before the next try; null when there is to be none. The budget is asked apart, last of all. */
export function retryDelayMs(
  policy: RetryPolicy,
  failure: Failure,
  facts: { n: number; random: number; idempotent: boolean; remainingMs: number },
): number | null {
  if (facts.n >= policy.attempts) return null
  if (failure.sent && !facts.idempotent) return null
  const asked = failure.retryAfterMs ?? 0
  if (asked > policy.maxDelayMs) return null
  const delayMs = Math.max(asked, backoffMs(policy, facts.n, facts.random))
  return delayMs < facts.remainingMs ? delayMs : null
}

/** `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date. Null for anything else. */
export function parseRetryAfterMs(value: string | undefined, nowAt: number): number | null {
  if (value === undefined) return null
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1_000
  const at = /^[A-Za-z]{3}/.test(value.trim()) ? Date.parse(value) : Number.NaN
  return Number.isNaN(at) ? null : Math.max(0, at - nowAt)
}

const WINDOW_MS = 10_000
const BUCKETS = 10
/** So that a quiet gateway may retry at all: at most this many in a window are free of the share. */
const FLOOR = 10

/**
 * Retries are a share of requests over the last ten seconds, or a sick upstream would get twice the load it could not
 * carry ("Addressing cascading failures", Google SRE book, chapter 22).
 */
export class RetryBudget {
  readonly #share: number
  readonly #clock: Clock
  readonly #buckets = Array.from({ length: BUCKETS }, () => ({ slot: -1, requests: 0, retries: 0 }))

  constructor(share: number, clock: Clock) {
    this.#share = share
    this.#clock = clock
  }

  request(): void {
    this.#current().requests++
  }

  /** Takes one retry out of the budget if there is one. */
  take(): boolean {
    const current = this.#current()
    const live = this.#buckets.filter((bucket) => bucket.slot > current.slot - BUCKETS)
    const requests = live.reduce((sum, bucket) => sum + bucket.requests, 0)
    const retries = live.reduce((sum, bucket) => sum + bucket.retries, 0)
    if (retries >= Math.max(FLOOR, requests * this.#share)) return false
    current.retries++
    return true
  }

  #current() {
    const slot = Math.floor(this.#clock.now() / (WINDOW_MS / BUCKETS))
    const bucket = this.#buckets[slot % BUCKETS]!
    if (bucket.slot !== slot) Object.assign(bucket, { slot, requests: 0, retries: 0 })
    return bucket
  }
}
