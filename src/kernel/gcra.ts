/** A bucket of `capacity` tokens that refills at `perSecond`. */
export interface Limit {
  /** Tokens that may be taken at once, >= 1. */
  capacity: number
  /** Tokens per second, > 0. */
  perSecond: number
}

/**
 * The generic cell rate algorithm: a token bucket in one number, the theoretical arrival time (TAT), the instant at
 * which the bucket will be full again. Exact, with burst, weighted costs, and the wait until more.
 * Source: ITU-T I.371 (1993); brandur.org/rate-limiting.
 *
 * Everything is in whole microseconds, so that no rounding ever adds a token; doubles hold them until the year 2255.
 * scripts/gcra.lua is the same arithmetic over a shared TAT; limiter.contract.ts holds both to it.
 */
export interface Rate {
  /** Time in which one token comes back, whole µs. */
  emissionUs: number
  /** Tokens of a full bucket. */
  burst: number
}

/**
 * The rate is rounded down to a whole number of µs per token: at most 0.1 % low up to 1,000 tokens per second, and
 * 1 % at 10,000.
 */
export function rateOf({ capacity, perSecond }: Limit): Rate {
  return { emissionUs: Math.ceil(1_000_000 / perSecond), burst: Math.max(1, Math.floor(capacity)) }
}

export interface Taking {
  allowed: boolean
  /** What to remember, µs since the epoch; unchanged by a refusal. */
  newTat: number
  remaining: number
  retryAfterMs: number
  resetMs: number
}

/** The TAT of a bucket that nobody has taken from. */
export const FULL = 0

/**
 * @param tat µs since the epoch, or FULL
 * @param nowAt ms since the epoch. A clock that runs backwards never grants extra: the TAT does not follow it.
 * @param cost tokens, 0 < cost <= burst
 */
export function take(tat: number, nowAt: number, { emissionUs, burst }: Rate, cost: number): Taking {
  if (!(cost > 0 && cost <= burst))
    throw new RangeError(`a cost of ${cost} can never be taken from a bucket of ${burst}`)
  const nowUs = Math.floor(nowAt) * 1_000
  const next = Math.max(tat, nowUs) + Math.ceil(cost * emissionUs)
  const waitUs = next - burst * emissionUs - nowUs
  const allowed = waitUs <= 0
  const newTat = allowed ? next : tat
  const debtUs = Math.max(0, newTat - nowUs)
  return {
    allowed,
    newTat,
    remaining: Math.max(0, Math.floor(burst - debtUs / emissionUs)),
    retryAfterMs: allowed ? 0 : Math.ceil(waitUs / 1_000),
    resetMs: Math.ceil(debtUs / 1_000),
  }
}
