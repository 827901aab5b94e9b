/**
 * One query API behind the gateway: its URLs, its breaker, its retries. An *ask* makes one or more *attempts*
 * (attempt.ts); an attempt has a permit of the breaker, a place on a URL, and a *wire* (wire.ts).
 */
import type { Clock } from '../kernel/clock.ts'
import { Refusal } from '../kernel/errors.ts'
import { type Ask, Attempt, type Done, type Reply } from './attempt.ts'
import { Breaker, type BreakerName, type BreakerOptions, type Permit, type Verdict } from './breaker.ts'
import { checkForEver } from './health.ts'
import { Limit } from './limit.ts'
import { Recovery } from './recovery.ts'
import { RetryBudget, type RetryPolicy, retryDelayMs } from './retry.ts'
import { Target, Targets } from './targets.ts'
import { type PassEnd, verdictOfPass, verdictOfStatus } from './verdict.ts'
import { Waits } from './waits.ts'

export type { Ask, Reply } from './attempt.ts'
export type { PassEnd } from './verdict.ts'

export interface UpstreamOptions {
  name: string
  urls: readonly string[]
  connectTimeoutMs: number
  /** For head and body together, retries and the waits between them included. */
  timeoutMs: number
  /** To each URL. */
  maxConnections: number
  breaker: BreakerOptions
  retries: RetryPolicy
  healthCheck: { path: string; intervalMs: number } | null
}

type Event =
  | { kind: 'attempt'; url: string; tenant: string; status: number | null; verdict: Verdict; tookMs: number }
  | { kind: 'breaker'; state: BreakerName; retryAt: number | null }
  | { kind: 'health'; url: string; healthy: boolean; by: 'check' | 'request' }
  /** `attempt` is the one that failed, from 1. */
  | { kind: 'retry'; url: string; attempt: number; delayMs: number }
  | { kind: 'retry-budget-empty' }
  /** A 503 asked for quiet until then; a 429 for quiet from one tenant. Whoever queues work for it holds it. */
  | { kind: 'asked-to-wait'; untilAt: number; tenant: string | null }

export type UpstreamEvent = Event & { upstream: string }

export interface UpstreamState {
  name: string
  breaker: BreakerName
  /** When the breaker lets the next probe go; null unless open. */
  retryAt: number | null
  /** Until when the upstream itself asked to be left alone (Retry-After); null if it did not. */
  waitUntilAt: number | null
  urls: { url: string; healthy: boolean; busy: number }[]
}

/** The right to one passthrough: where it goes, and how to say what becomes of it. */
export interface Guard {
  url: URL
  /** The head has arrived; enough to judge a probe by, for a stream may last for hours. */
  head(status: number): void
  /** Said once; later calls are ignored. */
  end(end: PassEnd): void
}

export interface UpstreamDeps {
  clock: Clock
  /** A draw from [0, 1). */
  random?: () => number
  onEvent?: (event: UpstreamEvent) => void
}

/** When to come back to an upstream that is given little to do yet, ms. */
const RECOVERING_MS = 1_000

export class Upstream {
  readonly #options: UpstreamOptions
  readonly #clock: Clock
  readonly #random: () => number
  readonly #onEvent: (event: UpstreamEvent) => void
  readonly #targets: Targets
  readonly #breaker: Breaker
  readonly #budget: RetryBudget
  readonly #closing = new AbortController()
  readonly #recovery = new Recovery()
  readonly #waits: Waits
  #closed: Promise<void> | undefined

  constructor(options: UpstreamOptions, { clock, random = Math.random, onEvent = () => {} }: UpstreamDeps) {
    this.#options = options
    this.#clock = clock
    this.#random = random
    this.#onEvent = onEvent
    this.#budget = new RetryBudget(options.retries.budget, clock)
    this.#waits = new Waits(clock)
    this.#breaker = new Breaker(options.breaker, clock, ({ name: state, retryAt }) => {
      this.#recovery.note(state)
      this.#emit({ kind: 'breaker', state, retryAt })
    })
    this.#targets = new Targets(
      options.urls.map((url) => new Target({ ...options, url })),
      { clock, onHealth: ({ url }, healthy, by) => this.#emit({ kind: 'health', url: url.href, healthy, by }) },
    )
    for (const target of this.#targets.all) this.#check(target)
  }

  /**
   * Resolves with the head of the answer; iterating its body throws UPSTREAM_INVALID when it is cut short. Every
   * answer is a Reply, a 503 too. Throws UPSTREAM_UNREACHABLE, UPSTREAM_INVALID, DEADLINE_EXCEEDED or BREAKER_OPEN;
   * rejects with the signal's reason when that aborts, and the connection is then closed.
   */
  async ask(ask: Ask): Promise<Reply> {
    ask.signal.throwIfAborted()
    this.#budget.request()
    const limit = new Limit(Math.min(ask.timeoutMs, this.#options.timeoutMs), ask.signal, this.#clock)
    try {
      const last = await this.#tryUntilDone(ask, limit)
      return last.handOver()
    } catch (error) {
      limit.end()
      throw error
    }
  }

  /** The least busy healthy URL. */
  pick(): URL {
    return this.#targets.pick().url
  }

  /** Throws BREAKER_OPEN if a request of this tenant would be refused now: before anything is charged for it. */
  check(tenant: string): void {
    this.#breaker.check(tenant)
  }

  /** The same for a query that would take its turn: also while it was asked to wait, and while too much is under way after a rest. */
  checkTurn(tenant: string): void {
    this.#breaker.check(tenant)
    this.#waits.check(tenant)
    if (this.#recovery.width - this.#busy > 0) return
    throw new Refusal('BREAKER_OPEN', { detail: 'the upstream has just come back', retryAfterMs: RECOVERING_MS })
  }

  /** The same for one whose turn has come, for it may have been asked to wait meanwhile. */
  checkWait(tenant: string): void {
    this.#waits.check(tenant)
  }

  /**
   * How many more queries may begin here now, and whose had better not: none while it rests or asked to be left alone,
   * few while it is probed, and after a rest no more at a time than have just succeeded, so that what has piled up does
   * not fell it again.
   */
  room(): { allow: number; avoid: readonly string[] } {
    const { allow, avoid } = this.#breaker.room()
    const isOut = this.#targets.all.every((target) => !this.#targets.isHealthy(target))
    if (isOut || this.#waits.untilAt !== null) return { allow: 0, avoid: [] }
    const busy = this.#targets.all.reduce((sum, target) => sum + target.busy, 0)
    return {
      allow: Math.max(0, Math.min(allow, this.#recovery.width - busy)),
      avoid: [...avoid, ...this.#waits.tenants],
    }
  }

  /** One retry out of the budget that all retries of this upstream share, for who retries by himself (a queued job). */
  takeRetry(): boolean {
    if (this.#budget.take()) return true
    this.#emit({ kind: 'retry-budget-empty' })
    return false
  }

  /** For the passthrough: breaker, balance and health as for any request. Throws BREAKER_OPEN. */
  guard(tenant: string): Guard {
    const permit = this.#breaker.admit(tenant)
    const target = this.#targets.pick()
    const startedAt = this.#clock.now()
    let ended = false
    target.busy++
    const end = (pass: PassEnd) => {
      if (ended) return
      ended = true
      target.busy--
      if (pass.failure === 'unreachable') this.#targets.note(target, 'refused')
      else if (pass.status !== null) this.#targets.note(target, 'worked')
      const isElsewhere = pass.failure === 'unreachable' && this.#targets.hasOther(target)
      const verdict = isElsewhere ? 'unknown' : verdictOfPass(pass)
      permit.end(verdict)
      this.#done(tenant, { target, status: pass.status, verdict, startedAt })
    }
    const head = (status: number) => {
      if (permit.isProbe) permit.end(verdictOfStatus(status))
    }
    return { url: target.url, head, end }
  }

  state(): UpstreamState {
    const { name, retryAt } = this.#breaker.view()
    return {
      name: this.#options.name,
      breaker: name,
      retryAt,
      waitUntilAt: this.#waits.untilAt,
      urls: this.#targets.all.map((target) => ({
        url: target.url.href,
        healthy: this.#targets.isHealthy(target),
        busy: target.busy,
      })),
    }
  }

  get #busy(): number {
    return this.#targets.all.reduce((sum, target) => sum + target.busy, 0)
  }

  /** By an operator's hand. */
  setBreaker(state: 'open' | 'closed'): void {
    this.#breaker.force(state)
  }

  /** Lets what runs come to its end, which its own deadline bounds. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#closing.abort()
    await Promise.all(this.#targets.all.map((target) => target.pool.close()))
    this.#breaker.close()
  }

  async #tryUntilDone(ask: Ask, limit: Limit): Promise<Attempt> {
    const tried = new Set<Target>()
    let permit: Permit | null = this.#breaker.admit(ask.tenant)
    for (let n = 1; ; n++) {
      const attempt = this.#attempt(ask, limit, permit, tried)
      await attempt.run()
      this.#noteWait(ask.tenant, attempt.reply)
      const delayMs = this.#movesOn(attempt, tried) ? 0 : this.#retryDelayMs(ask, attempt, n, limit)
      if (delayMs === null) return attempt
      if (attempt.reply) attempt.reply.body.destroy()
      this.#emit({ kind: 'retry', url: attempt.target.url.href, attempt: n, delayMs })
      await this.#clock.sleep(delayMs, limit.signal)
      permit = this.#breaker.admit(ask.tenant)
    }
  }

  #attempt(ask: Ask, limit: Limit, permit: Permit, tried: Set<Target>): Attempt {
    const target = this.#targets.pick(tried)
    tried.add(target)
    return new Attempt({
      ask,
      limit,
      permit,
      target,
      targets: this.#targets,
      clock: this.#clock,
      limitIsUpstreams: ask.timeoutMs >= this.#options.timeoutMs,
      onDone: (done) => this.#done(ask.tenant, done),
    })
  }

  /**
   * Nothing was sent to a dead address, and another one is alive: that is no retry but the balance at work, so it neither
   * waits nor draws on the budget. Each address is tried once.
   */
  #movesOn({ reply, sent, target }: Attempt, tried: ReadonlySet<Target>): boolean {
    return !reply && !sent && tried.size < this.#targets.all.length && this.#targets.hasOther(target)
  }

  /** Null: what this attempt brought is the answer. */
  #retryDelayMs(ask: Ask, { reply, sent }: Attempt, n: number, limit: Limit): number | null {
    if (reply && verdictOfStatus(reply.status) === 'ok') return null
    if (this.#breaker.view().name === 'open') return null
    const failure = { sent, retryAfterMs: reply?.retryAfterMs ?? null }
    const facts = { n, random: this.#random(), idempotent: ask.idempotent, remainingMs: limit.remainingMs }
    const { retries } = this.#options
    const policy = ask.attempts === undefined ? retries : { ...retries, attempts: ask.attempts }
    const delayMs = retryDelayMs(policy, failure, facts)
    if (delayMs === null || this.#budget.take()) return delayMs
    this.#emit({ kind: 'retry-budget-empty' })
    return null
  }

  #noteWait(tenant: string, reply: Reply | null): void {
    if (reply?.retryAfterMs == null) return
    const untilAt = this.#waits.note(reply.status === 429 ? tenant : null, reply.retryAfterMs)
    this.#emit({ kind: 'asked-to-wait', untilAt, tenant: reply.status === 429 ? tenant : null })
  }

  #check(target: Target): void {
    const { healthCheck } = this.#options
    if (!healthCheck) return
    void checkForEver(
      { url: target.url, ...healthCheck },
      {
        clock: this.#clock,
        random: this.#random,
        signal: this.#closing.signal,
        onResult: (passed) => this.#targets.note(target, passed ? 'check-passed' : 'check-failed'),
      },
    )
  }

  #done(tenant: string, { target, status, verdict, startedAt }: Done): void {
    if (verdict === 'ok') this.#recovery.succeeded()
    const tookMs = this.#clock.now() - startedAt
    this.#emit({ kind: 'attempt', url: target.url.href, tenant, status, verdict, tookMs })
  }

  #emit(event: Event): void {
    this.#onEvent({ upstream: this.#options.name, ...event })
  }
}
