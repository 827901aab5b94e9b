import type { Clock } from '../kernel/clock.ts'
import { Refusal } from '../kernel/errors.ts'

/** Tenants remembered at a time; where more are told to wait, it is the upstream that cannot. */
const MAX_TENANTS = 32

/** An upstream that asks for an hour is asked again earlier, ms. */
const LONGEST_MS = 300_000

/**
 * Who was asked to leave the upstream alone for a while: everybody by a 503 with Retry-After, one tenant by a 429 (most
 * query APIs count by credential, and one tenant's limit must not stop the others).
 */
export class Waits {
  readonly #clock: Clock
  readonly #byTenant = new Map<string, number>()
  #allUntilAt = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Returns until when. @param tenant null: everybody */
  note(tenant: string | null, retryAfterMs: number): number {
    const untilAt = this.#clock.now() + Math.min(retryAfterMs, LONGEST_MS)
    const isOne = tenant !== null && (this.#byTenant.has(tenant) || this.tenants.length < MAX_TENANTS)
    if (isOne) this.#byTenant.set(tenant, Math.max(untilAt, this.#byTenant.get(tenant) ?? 0))
    else this.#allUntilAt = Math.max(untilAt, this.#allUntilAt)
    return untilAt
  }

  /** Null: nobody asked. */
  get untilAt(): number | null {
    return this.#allUntilAt > this.#clock.now() ? this.#allUntilAt : null
  }

  /** Those who wait now. */
  get tenants(): string[] {
    const nowAt = this.#clock.now()
    for (const [tenant, untilAt] of this.#byTenant) if (untilAt <= nowAt) this.#byTenant.delete(tenant)
    return [...this.#byTenant.keys()]
  }

  /** Throws BREAKER_OPEN while this tenant's requests had better not be sent. */
  check(tenant: string): void {
    const untilAt = Math.max(this.#allUntilAt, this.#byTenant.get(tenant) ?? 0)
    const waitMs = untilAt - this.#clock.now()
    if (waitMs > 0)
      throw new Refusal('BREAKER_OPEN', { detail: 'the upstream asked to be left alone', retryAfterMs: waitMs })
  }
}
