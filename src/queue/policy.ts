/**
 * The arithmetic of the scheduler: pure, in whole numbers, and written again in scripts/ground.lua step for step, so
 * that both adapters answer alike to the last digit. Times are ms, virtual time is in µs of service per unit of weight.
 *
 * Start-time fair queueing: P. Goyal, H. Vin, H. Cheng, "Start-time Fair Queueing", SIGCOMM 1996.
 */

/** Priority classes in their order; a number in what is stored. */
export const CLASSES = ['interactive', 'default', 'batch'] as const
export type Class = (typeof CLASSES)[number]

/** Which class a tenant's nth turn goes to first: 8:3:1, spread out so that none waits for a whole round. */
export const TURNS = [0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 2] as const

/** What a query is taken to cost while nothing is known of its tenant's and route's, ms. */
export const FIRST_ESTIMATE_MS = 1_000

/** A tenant that was served far too much is held back no longer than this much service of one slot, µs. */
export const MAX_DEBT_US = 30_000_000

/** An idle tenant's virtual time and estimates are remembered so long, ms. */
export const FORGET_MS = 600_000

/** In one line stand all classes one behind the other: its score is class * CLASS_ROOM + number. */
export const CLASS_ROOM = 2 ** 45

/** The classes in the order in which the nth turn tries them. */
export function classOrder(turn: number): readonly number[] {
  const first = TURNS[turn % TURNS.length]!
  return [first, ...[0, 1, 2].filter((other) => other !== first)]
}

/** Virtual time that so much service costs a tenant of this weight. */
export const chargeUs = (serviceMs: number, weight: number): number => Math.floor((serviceMs * 1_000) / weight)

/**
 * A tenant's virtual time once a query that was charged by estimate has really cost `actualMs`: never behind the
 * shard's clock (nobody saves up credit), and no further ahead of it than the debt that is remembered.
 */
export const settledUs = (vtUs: number, clockUs: number, chargedUs: number, actualUs: number): number =>
  Math.min(Math.max(vtUs + actualUs - chargedUs, clockUs), clockUs + MAX_DEBT_US)

/** An exponentially weighted mean, an eighth new; undefined: the first observation. */
export const mean = (old: number | undefined, seen: number): number =>
  old === undefined ? seen : Math.floor((7 * old + seen) / 8)

export interface WaitFacts {
  /** 1 = the next of its tenant. */
  position: number
  running: number
  hard: number
  /** Mean time between two of the tenant's starts while it had more to start, ms; undefined: it never had. */
  gapMs: number | undefined
  estimateMs: number
}

/** How long a place in the line is likely to take, ms. */
export function waitMs({ position, running, hard, gapMs, estimateMs }: WaitFacts): number {
  if (position <= hard - running) return 0
  if (gapMs !== undefined) return position * gapMs
  return Math.floor((position * estimateMs) / hard)
}

/** What the scheduler itself writes as a job's error; floor 2 writes the others in the same form. */
export const POISONED = '{"code":"JOB_POISONED"}'
export const TIMED_OUT = '{"code":"QUEUE_TIMEOUT"}'
