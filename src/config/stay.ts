/** How long an answer may be kept in all, over its fresh and its stale time. */
import { formatDuration } from '../kernel/units.ts'

/** The store's bound. An answer older than this is of no use to anybody, and purge generations may forget it. */
export const MAX_STAY_MS = 7 * 86_400_000

interface Times {
  ttl: number
  jitter: number
  staleWhileRevalidate: number
  staleIfError: number
}

const TIMES = ['ttl', 'staleWhileRevalidate', 'staleIfError'] as const

/** ttl at its largest draw, and the longer of the two stale times after it. */
export function longestStay(times: Times) {
  const { ttl, jitter, staleWhileRevalidate, staleIfError } = times
  const ms = Math.ceil(ttl * (1 + jitter)) + Math.max(staleWhileRevalidate, staleIfError)
  const longest = TIMES.toSorted((a, b) => times[b] - times[a])[0]!
  return {
    ms,
    longest,
    words: {
      message: `lets an answer be kept for ${formatDuration(ms)}, longer than the store's bound of ${formatDuration(MAX_STAY_MS)}`,
      allowed: `ttl·(1+jitter) plus the longer of staleWhileRevalidate and staleIfError at most ${formatDuration(MAX_STAY_MS)}`,
    },
  }
}
