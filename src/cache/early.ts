import type { Entry } from './entry.ts'

export interface EarlyRefresh {
  /** 1 as in the paper; larger refreshes earlier, 0 never early. */
  beta: number
  /** Never earlier than this share of the ttl before its end. */
  max: number
}

/**
 * XFetch: whether this read should cause a refresh though the entry is still fresh.
 * Rule     now − Δ·β·ln(rand) ≥ end of ttl, with the earliness capped at max·ttl
 * Why cap  a query of 3 s would start to refresh 26 s before its end under 1,000 reads a second: with a short ttl, mostly waste
 * Gate     e^(1/β) readers per cycle come to true; the flight's lease makes one of them
 * Source   Vattani, Chierichetti, Lowenstein, PVLDB 8(8) 2015, doi:10.14778/2757807.2757813
 */
export function isEarly(
  entry: Pick<Entry, 'storedAt' | 'ttlMs' | 'computeMs'>,
  { beta, max }: EarlyRefresh,
  nowAt: number,
  random: () => number,
): boolean {
  const leftMs = entry.storedAt + entry.ttlMs - nowAt
  if (leftMs <= 0) return true
  if (leftMs > max * entry.ttlMs) return false // far from the end: no draw, no logarithm
  return -entry.computeMs * beta * Math.log(1 - random()) >= leftMs // 1 − [0, 1) is never 0
}
