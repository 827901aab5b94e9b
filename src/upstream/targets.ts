import { Pool } from 'undici'
import type { Clock } from '../kernel/clock.ts'
import { Health } from './health.ts'
import { Line } from './line.ts'

/** Larger than node's 16 KiB: session cookies and policies of query APIs grow. */
const MAX_HEADER_BYTES = 64 * 1024

export interface TargetOptions {
  url: string
  connectTimeoutMs: number
  maxConnections: number
}

/** One URL of an upstream: its connections, how busy it is, how it feels. */
export class Target {
  readonly url: URL
  readonly pool: Pool
  readonly line: Line
  readonly health = new Health()
  /** Requests given to it and not ended, passthrough and those in line included. */
  busy = 0
  readonly #basePath: string

  constructor({ url, connectTimeoutMs, maxConnections }: TargetOptions) {
    this.url = new URL(url)
    this.#basePath = basePath(this.url)
    this.line = new Line(maxConnections)
    this.pool = new Pool(this.url.origin, {
      connections: maxConnections,
      connectTimeout: connectTimeoutMs,
      pipelining: 1,
      allowH2: false,
      maxHeaderSize: MAX_HEADER_BYTES,
      // One deadline covers head and body (limit.ts); undici's own would only compete with it.
      headersTimeout: 0,
      bodyTimeout: 0,
    })
  }

  /** The base path and what the client asked, byte for byte: what is forwarded is what was keyed. */
  path(target: string): string {
    return this.#basePath + target
  }
}

/** `http://host/base/` and `/x` make `/base/x`. */
export const basePath = (url: URL): string => url.pathname.replace(/\/$/, '')

export type HealthNews = 'check-passed' | 'check-failed' | 'refused' | 'worked'

export interface TargetsDeps {
  clock: Clock
  onHealth: (target: Target, healthy: boolean, by: 'check' | 'request') => void
}

export class Targets {
  readonly all: readonly Target[]
  readonly #clock: Clock
  readonly #onHealth: TargetsDeps['onHealth']
  #turn = 0

  constructor(all: readonly Target[], { clock, onHealth }: TargetsDeps) {
    this.all = all
    this.#clock = clock
    this.#onHealth = onHealth
  }

  isHealthy(target: Target): boolean {
    return target.health.isHealthy(this.#clock.now())
  }

  /** A dead address beside a living one is this balance's concern, and says nothing of the upstream. */
  hasOther(target: Target): boolean {
    return this.all.some((other) => other !== target && this.isHealthy(other))
  }

  note(target: Target, news: HealthNews): void {
    const before = this.isHealthy(target)
    if (news === 'refused') target.health.refused(this.#clock.now())
    else if (news === 'worked') target.health.worked()
    else target.health.checked(news === 'check-passed')
    const after = this.isHealthy(target)
    if (before !== after) this.#onHealth(target, after, news.startsWith('check') ? 'check' : 'request')
  }

  /**
   * The least busy of the healthy ones that were not tried yet; by turns where several are equal. If none is left it
   * goes on with less choice rather than refuse: checks may be wrong, and a request is the best check.
   */
  pick(tried?: ReadonlySet<Target>): Target {
    if (this.all.length === 1) return this.all[0]!
    const fresh = this.all.filter((target) => !tried?.has(target))
    const healthy = (targets: readonly Target[]) => targets.filter((target) => this.isHealthy(target))
    const choices = [healthy(fresh), healthy(this.all), fresh, this.all]
    return this.#leastBusy(choices.find((choice) => choice.length > 0)!)
  }

  #leastBusy(targets: readonly Target[]): Target {
    const least = Math.min(...targets.map((target) => target.busy))
    const equals = targets.filter((target) => target.busy === least)
    return equals[this.#turn++ % equals.length]!
  }
}
