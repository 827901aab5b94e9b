import type { Limit } from '../kernel/gcra.ts'

export type { Limit } from '../kernel/gcra.ts'

export interface Grant {
  taken: boolean
  /** Tokens left, rounded down; after a refusal possibly fewer than there are. */
  remaining: number
  /** When the same cost would be granted, at the earliest; 0 when it was. */
  retryAfterMs: number
  /** When the bucket would be full again if nobody took anything. */
  resetMs: number
  /** True when this process decided alone, because the shared store was away. */
  degraded: boolean
}

export interface Limiter {
  /**
   * Takes `cost` tokens (1 unless said, at most `capacity`) of the tenant's bucket `name`, or none at all: a refusal
   * charges nothing. A bucket belongs to its limit: another limit under the same name starts with a full one.
   * Throws StoreUnavailable.
   */
  take(tenant: string, name: string, limit: Limit, cost?: number): Promise<Grant>
}

/**
 * One text per bucket. The limit is part of it: a bucket in debt under a slow limit would otherwise hold the tenant
 * up for as long as that limit says, after an operator has raised it.
 */
export const bucketId = (tenant: string, name: string, { capacity, perSecond }: Limit): string =>
  `${name}:${capacity}/${perSecond}:${tenant}`
