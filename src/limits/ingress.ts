import { LRUCache } from 'lru-cache'
import type { Clock } from '../kernel/clock.ts'
import type { ProcessCount } from './limiter.degrading.ts'
import type { Grant, Limit, Limiter } from './limiter.ts'

/** A batch is this part of what a process would spend in a second at its share of the limit. */
const BATCHES_PER_SECOND = 10

/** New tokens are fetched when this part of a batch is left, so that a hit need not wait for them. */
const LOW_WATER = 0.3

/**
 * Tokens unused for this long are dropped, ms. Longer saves calls for slow tenants; what a fleet may spend late at
 * once is bounded by the size of a batch, not by this.
 */
const LEASE_MS = 10_000

export interface IngressOptions {
  /** Where tokens are leased; one that goes on without its store (limiter.degrading.ts), or its outages come through. */
  limiter: Limiter
  census: ProcessCount
  clock: Clock
  /** Tenants whose leases are held; past it the least recently seen loses its tokens. */
  maxTenants?: number
}

/**
 * The limit on every request, hits too, without a call to the store for each: tokens are leased from the shared
 * bucket in batches and spent here (facts/queues.md 3.2).
 *
 * What is spent has been charged before, so in the long run nobody gets more than the limit. Over P processes with
 * batches of b the burst may be P·b larger (a tenth of the limit), and P·b may lie unused; a limit too small for
 * batches (under 10·P) is charged request by request.
 */
export class Ingress {
  readonly #limiter: Limiter
  readonly #census: ProcessCount
  readonly #clock: Clock
  readonly #accounts: LRUCache<string, Account>

  constructor({ limiter, census, clock, maxTenants = 10_000 }: IngressOptions) {
    this.#limiter = limiter
    this.#census = census
    this.#clock = clock
    this.#accounts = new LRUCache({ max: maxTenants })
  }

  /** One token of the tenant's; at once when it is here or known not to come, otherwise when the store has answered. */
  tryTake(tenant: string, limit: Limit): Grant | Promise<Grant> {
    const batch = batchSize(limit, this.#census.size)
    if (batch === 0) return this.#limiter.take(tenant, 'ingress', limit)
    return this.#account(tenant, limit).take(batch)
  }

  #account(tenant: string, limit: Limit): Account {
    const known = this.#accounts.get(tenant)
    if (known?.isFor(limit)) return known
    const lease = (cost: number) => this.#limiter.take(tenant, 'ingress', limit, cost)
    const account = new Account(limit, lease, this.#clock)
    this.#accounts.set(tenant, account)
    return account
  }
}

/**
 * Tokens to lease at a time; 0 when the limit is too small for batches.
 * @param processes that share the limit; 0 (never known) counts as one
 */
export function batchSize({ capacity, perSecond }: Limit, processes: number): number {
  return Math.floor(Math.min(capacity, perSecond) / (BATCHES_PER_SECOND * Math.max(1, processes)))
}

/** One tenant's leased tokens in this process. */
class Account {
  readonly #limit: Limit
  readonly #lease: (cost: number) => Promise<Grant>
  readonly #clock: Clock
  #tokens = 0
  #dropsAt = 0
  /** What the store said last, and when. */
  #said: { grant: Grant; at: number } | undefined
  #refill: Promise<void> | undefined
  #waiting = 0

  constructor(limit: Limit, lease: (cost: number) => Promise<Grant>, clock: Clock) {
    this.#limit = limit
    this.#lease = lease
    this.#clock = clock
  }

  isFor({ capacity, perSecond }: Limit): boolean {
    return this.#limit.capacity === capacity && this.#limit.perSecond === perSecond
  }

  take(batch: number): Grant | Promise<Grant> {
    const nowAt = this.#clock.now()
    const grant = this.#spend(nowAt) ?? this.#refusal(nowAt)
    if (!grant) return this.#waitAndTake(batch)
    if (grant.taken && this.#tokens <= batch * LOW_WATER && !this.#refusal(nowAt)) {
      this.#refilled(batch).catch(() => {}) // whoever finds no token asks again, and hears of it
    }
    return grant
  }

  #spend(nowAt: number): Grant | null {
    if (nowAt >= this.#dropsAt) this.#tokens = 0
    if (this.#tokens < 1 || !this.#said) return null
    this.#tokens--
    const { grant, at } = this.#said
    const resetMs = Math.max(0, grant.resetMs - (nowAt - at))
    return {
      taken: true,
      remaining: grant.remaining + this.#tokens,
      retryAfterMs: 0,
      resetMs,
      degraded: grant.degraded,
    }
  }

  /** The last answer, while it is a refusal that still stands. */
  #refusal(nowAt: number): Grant | null {
    if (!this.#said || this.#said.grant.taken) return null
    const { grant, at } = this.#said
    const passedMs = Math.max(0, nowAt - at)
    if (passedMs >= grant.retryAfterMs) return null
    return {
      ...grant,
      remaining: 0,
      retryAfterMs: grant.retryAfterMs - passedMs,
      resetMs: Math.max(0, grant.resetMs - passedMs),
    }
  }

  async #waitAndTake(batch: number): Promise<Grant> {
    this.#waiting++
    try {
      for (;;) {
        await this.#refilled(batch)
        const nowAt = this.#clock.now()
        const grant = this.#spend(nowAt) ?? this.#refusal(nowAt)
        if (grant) return grant
      }
    } finally {
      this.#waiting--
    }
  }

  /** One call at a time, whoever wants it. */
  #refilled(batch: number): Promise<void> {
    this.#refill ??= this.#fetch(batch).finally(() => {
      this.#refill = undefined
    })
    return this.#refill
  }

  async #fetch(batch: number): Promise<void> {
    // A crowd that waits is served in one call rather than batch by batch, within this process' share.
    const share = batch * BATCHES_PER_SECOND
    const cost = Math.min(Math.max(batch, this.#waiting), share)
    const grant = await this.#lease(cost)
    if (grant.taken) return this.#credit(cost, grant)
    const rest = Math.min(cost, grant.remaining)
    if (rest < 1) return this.#hold(grant, batch)
    const last = await this.#lease(rest)
    if (last.taken) this.#credit(rest, last)
    else this.#hold(last, batch)
  }

  #credit(tokens: number, grant: Grant): void {
    const nowAt = this.#clock.now()
    if (nowAt >= this.#dropsAt) this.#tokens = 0
    this.#tokens += tokens
    this.#dropsAt = nowAt + LEASE_MS
    this.#said = { grant, at: nowAt }
  }

  /** Until a batch may be there nobody asks again: token by token an overloaded tenant would cost a call for each. */
  #hold(grant: Grant, batch: number): void {
    const retryAfterMs = Math.min(grant.retryAfterMs, Math.ceil((batch * 1_000) / this.#limit.perSecond))
    this.#said = { grant: { ...grant, retryAfterMs }, at: this.#clock.now() }
  }
}
