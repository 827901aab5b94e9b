import { Refusal } from '../kernel/errors.ts'

/** When a token holds, in ms since the epoch; null is unbounded. */
export interface Lifetime {
  readonly notBeforeAt: number | null
  readonly expiresAt: number | null
}

/** From `nbf` and `exp` in seconds, which may have fractions (Superset's guest tokens do). */
export function lifetimeOf(payload: { nbf?: number; exp?: number }): Lifetime {
  return { notBeforeAt: toMs(payload.nbf), expiresAt: toMs(payload.exp) }
}

function toMs(seconds: number | undefined): number | null {
  if (seconds === undefined) return null
  const ms = Math.round(seconds * 1000)
  if (Number.isSafeInteger(ms)) return ms
  throw new Refusal('TOKEN_INVALID', { detail: 'the token bears a date that is none' }) // 1e999 parses to Infinity
}

/** Why the token does not hold at this instant, if so. Half-open: it holds on [nbf - tolerance, exp + tolerance). */
export function untimely(lifetime: Lifetime, nowAt: number, toleranceMs: number): Refusal | undefined {
  const { notBeforeAt, expiresAt } = lifetime
  if (expiresAt !== null && nowAt >= expiresAt + toleranceMs) {
    return new Refusal('TOKEN_EXPIRED', { detail: `the token expired at ${isoDate(expiresAt)}` })
  }
  if (notBeforeAt !== null && nowAt < notBeforeAt - toleranceMs) {
    return new Refusal('TOKEN_INVALID', { detail: `the token is not valid before ${isoDate(notBeforeAt)}` })
  }
  return undefined
}

/** Dates past the year 275760 have no calendar form, and a token may bear one. */
function isoDate(at: number): string {
  return Math.abs(at) <= 8.64e15 ? new Date(at).toISOString() : `${at} ms since 1970`
}
