/**
 * What was found out about tokens, under digests of them: the tokens themselves are not kept.
 *
 * Accepted and refused tokens are apart, so that a flood of forged ones pushes no good one out. An entry holds for the
 * keys it was found with and is asked for its times at each use, so nothing needs to be removed when they change.
 */
import { LRUCache } from 'lru-cache'
import type { Refusal } from '../kernel/errors.ts'
import type { Caller } from '../kernel/exchange.ts'
import type { Issuer } from './issuer.ts'
import { type Lifetime, untimely } from './lifetime.ts'

export interface Accepted {
  readonly caller: Caller
  readonly issuer: Issuer
  /** The issuer's keys that verified it. */
  readonly epoch: number
  readonly lifetime: Lifetime
  readonly verifyAgainAt: number
}

interface Refused {
  readonly refusal: Refusal
  readonly epochs: number
  readonly forgetAt: number
}

/** A token that never expires is looked at afresh this often. */
const UNDATED_MS = 5 * 60_000

/** Long enough for a dashboard that keeps polling with an expired token, short enough to be no one's riddle. */
const REFUSED_MS = 10_000
const MAX_REFUSED = 1_000

export class TokenMemory {
  readonly #accepted: LRUCache<string, Accepted>
  readonly #refused = new LRUCache<string, Refused>({ max: MAX_REFUSED })
  #evictions = 0

  constructor(maxTokens: number) {
    this.#accepted = new LRUCache({
      max: maxTokens,
      dispose: (_entry, _key, reason) => {
        if (reason === 'evict') this.#evictions++
      },
    })
  }

  /** Undefined where the token must be verified. Throws if it was verified and does not hold (any more, yet). */
  callerOf(key: string, nowAt: number): Caller | undefined {
    const entry = this.#accepted.get(key)
    if (!entry || entry.epoch !== entry.issuer.keys.epoch || nowAt >= entry.verifyAgainAt) return undefined
    const refusal = untimely(entry.lifetime, nowAt, entry.issuer.options.clockToleranceMs)
    if (refusal) throw refusal
    return entry.caller
  }

  accept(key: string, entry: Omit<Accepted, 'verifyAgainAt'>, nowAt: number): void {
    const verifyAgainAt = entry.lifetime.expiresAt === null ? nowAt + UNDATED_MS : Number.POSITIVE_INFINITY
    this.#accepted.set(key, { ...entry, verifyAgainAt })
  }

  /** `epochs` tells whether any issuer's keys have changed since. */
  refusalOf(key: string, epochs: number, nowAt: number): Refusal | undefined {
    const entry = this.#refused.get(key)
    return entry && entry.epochs === epochs && nowAt < entry.forgetAt ? entry.refusal : undefined
  }

  refuse(key: string, refusal: Refusal, epochs: number, nowAt: number): void {
    this.#refused.set(key, { refusal, epochs, forgetAt: nowAt + REFUSED_MS })
  }

  /** How many tokens are remembered, and how many were pushed out because there were too many. */
  get stats(): { remembered: number; evictions: number } {
    return { remembered: this.#accepted.size, evictions: this.#evictions }
  }
}
