import { Line } from './line.ts'
import { OrderedSet } from './ordered.ts'
import { classOrder, FORGET_MS, mean, waitMs } from './policy.ts'
import type { TenantLimits } from './scheduler.ts'

export type Kind = 'jobs' | 'slots'
export const KINDS: readonly Kind[] = ['jobs', 'slots']
/** Where a tenant stands in an upstream's order; null: nowhere, it cannot run now. */
export type Tier = 'ready' | 'over' | null

/** One tenant's work for one upstream, per kind and class, by number. */
export class Lane {
  readonly #lines = new Map<string, OrderedSet>()
  readonly tiers: Record<Kind, Tier> = { jobs: null, slots: null }

  line(kind: Kind, cls: number): OrderedSet {
    const name = `${kind}${cls}`
    const line = this.#lines.get(name) ?? new OrderedSet()
    this.#lines.set(name, line)
    return line
  }

  has(kind: Kind): boolean {
    return [0, 1, 2].some((cls) => (this.#lines.get(`${kind}${cls}`)?.size ?? 0) > 0)
  }

  get empty(): boolean {
    return !this.has('jobs') && !this.has('slots')
  }

  /** What the tenant's nth turn takes: by class, then by number, of the kinds that may be taken. */
  next(turn: number, kinds: readonly Kind[]): { id: string; kind: Kind } | null {
    for (const cls of classOrder(turn)) {
      const firsts = kinds.flatMap((kind) => {
        const first = this.#lines.get(`${kind}${cls}`)?.first
        return first ? [{ id: first.member, number: first.score, kind }] : []
      })
      const next = firsts.toSorted((a, b) => a.number - b.number)[0]
      if (next) return next
    }
    return null
  }
}

/** What the scheduler knows of one tenant. */
export class TenantState {
  readonly name: string
  limits: TenantLimits
  vtUs = 0
  /** Numbers given out to its work. */
  number = 0
  turn = 0
  /** By upstream; only those with work. */
  readonly lanes = new Map<string, Lane>()
  /** All that waits: in a lane, or for a retry. By class and number. */
  readonly waiting = new Line()
  readonly running = new Set<string>()
  readonly #estimates = new Map<string, number>()
  gapMs: number | undefined
  #startedAt = 0
  #hadMore = false
  /** Since when it has had no work at all; null while it has. */
  idleAt: number | null

  constructor(name: string, limits: TenantLimits, nowAt: number) {
    this.name = name
    this.limits = limits
    this.idleAt = nowAt
  }

  isForgotten(nowAt: number): boolean {
    return this.idleAt !== null && nowAt - this.idleAt >= FORGET_MS
  }

  lane(upstream: string): Lane {
    const lane = this.lanes.get(upstream) ?? new Lane()
    this.lanes.set(upstream, lane)
    return lane
  }

  get tier(): Tier {
    return tierOf(this.limits, this.running.size)
  }

  /** Undefined while nothing is known. */
  estimateOf(route: string): number | undefined {
    return this.#estimates.get(route)
  }

  observe(route: string, servedMs: number): void {
    this.#estimates.set(route, mean(this.#estimates.get(route), servedMs))
  }

  /** A query starts: what is known of the pace at which the tenant's line moves. */
  started(nowAt: number, estimateMs: number): void {
    const seenMs = nowAt - this.#startedAt
    // Several slots free at once start within no time: half of the first gap is what it will be on the whole.
    const firstMs = Math.floor((Math.floor(estimateMs / this.limits.hard) + seenMs) / 2)
    if (this.#hadMore) this.gapMs = this.gapMs === undefined ? firstMs : mean(this.gapMs, seenMs)
    this.#startedAt = nowAt
    this.#hadMore = this.waiting.size > 0
  }

  waitMs(position: number, estimateMs: number, hard = this.limits.hard): number {
    return waitMs({ position, running: this.running.size, hard, gapMs: this.gapMs, estimateMs })
  }
}

export function tierOf({ paused, hard, soft }: TenantLimits, running: number): Tier {
  if (paused || running >= hard) return null
  return running < soft ? 'ready' : 'over'
}
