/**
 * One breaker per upstream. opossum keeps the rolling window and decides by volume and error percentage; three things
 * it cannot do stand here:
 *
 * - **Outcomes are fired when they are known**, not when a request begins. opossum counts a request in the bucket of
 *   its start and its failure in the bucket of its end; with queries longer than the window it would never open.
 * - **Tenants.** It opens only when failures come from several tenants, or when the window has seen one tenant only:
 *   one tenant's poisonous query must not close the upstream to all.
 * - **The rest.** opossum waits a fixed time and lets one probe go. Here the wait doubles up to a limit while probes
 *   fail, and probes come from different tenants: up to three at once, one of each, and whoever failed the last round
 *   has to let the others go first. All of it on the clock that was handed in; opossum's own timer never fires.
 *
 *   closed --(opossum opens)--> open --(retryAt passed, somebody asks)--> half-open --(a probe succeeds)--> closed
 *                                ^------(the last probe in flight failed: the rest doubles)------|
 */
import { EventEmitter } from 'node:events'
import CircuitBreaker from 'opossum'
import type { Clock } from '../kernel/clock.ts'
import { Refusal } from '../kernel/errors.ts'

export interface BreakerOptions {
  windowMs: number
  /** Outcomes in the window below which it never opens. */
  volumeThreshold: number
  errorThresholdPercentage: number
  /** The first rest; doubled with every failed round of probes. */
  resetTimeoutMs: number
  maxResetTimeoutMs: number
}

/** Every move of a breaker, and what makes it. docs/states.md is drawn from this table. */
export const BREAKER_MOVES: readonly { from: BreakerName; to: BreakerName; by: string }[] = [
  { from: 'closed', to: 'open', by: 'enough requests, enough failures among them, and of several tenants' },
  { from: 'open', to: 'half-open', by: 'the rest is over and somebody asks' },
  { from: 'half-open', to: 'closed', by: 'a probe succeeds; from here on it is given more to do step by step' },
  { from: 'half-open', to: 'open', by: 'the last probe in flight fails; the rest doubles' },
  { from: 'open', to: 'closed', by: "an operator's hand" },
  { from: 'closed', to: 'open', by: "an operator's hand" },
]

/** `unknown`: says nothing about the upstream's health (the client left, or the tenant's own limit passed). */
export type Verdict = 'ok' | 'sick' | 'unknown'

export interface Permit {
  /** Whether the breaker waits for this one to say if the upstream is well again. */
  readonly isProbe: boolean
  /** Said once; later calls are ignored. */
  end(verdict: Verdict): void
}

export type BreakerName = 'closed' | 'half-open' | 'open'

type State =
  | { name: 'closed' }
  | { name: 'open'; retryAt: number; restMs: number; failed: ReadonlySet<string> }
  | { name: 'half-open'; restMs: number; probing: Set<string>; failed: Set<string> }

export interface BreakerView {
  name: BreakerName
  /** When the next probe may go, ms since the epoch; null unless open. */
  retryAt: number | null
}

const BUCKETS = 10
const MAX_PROBES = 3
/** What setTimeout takes at most. opossum insists on a timer of its own; it is unref'd and cleared on close. */
const NEVER_MS = 2 ** 31 - 1
const SICK = new Error('sick')
const WELL = Promise.resolve()

/** opossum's circuit, with a say for us before it opens. */
class Circuit extends CircuitBreaker<[sick: boolean], void> {
  mayOpen: () => boolean = () => true

  override open(): void {
    if (this.mayOpen()) super.open()
  }
}

export class Breaker {
  readonly #options: BreakerOptions
  readonly #clock: Clock
  readonly #onChange: (view: BreakerView) => void
  readonly #rotation = new EventEmitter()
  readonly #circuit: Circuit
  readonly #failing = new Distinct()
  readonly #seen = new Distinct()
  #rotatedAt: number
  #state: State = { name: 'closed' }
  /** Outcomes of permits given out before the last change say nothing about the state after it. */
  #epoch = 0

  constructor(options: BreakerOptions, clock: Clock, onChange: (view: BreakerView) => void = () => {}) {
    this.#options = options
    this.#clock = clock
    this.#onChange = onChange
    this.#rotatedAt = clock.now()
    this.#circuit = new Circuit(outcome, {
      timeout: false,
      resetTimeout: NEVER_MS,
      volumeThreshold: options.volumeThreshold,
      errorThresholdPercentage: options.errorThresholdPercentage,
      rollingCountTimeout: options.windowMs,
      rollingCountBuckets: BUCKETS,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
      rotateBucketController: this.#rotation,
    })
    this.#circuit.mayOpen = () => this.#severalFail()
    this.#circuit.on('open', () => this.#rest(options.resetTimeoutMs, new Set()))
  }

  /** Throws BREAKER_OPEN; otherwise the caller owes one outcome. */
  admit(tenant: string): Permit {
    const state = this.#state
    if (state.name === 'closed') return this.#permit(false, (verdict) => this.#record(tenant, verdict))
    if (state.name === 'open') this.#wake(state, tenant)
    return this.#probe(tenant)
  }

  /** Throws BREAKER_OPEN where `admit` would now, and takes nothing: for what is to be done before. */
  check(tenant: string): void {
    const state = this.#state
    if (state.name === 'open') this.#checkRest(state, tenant)
    if (state.name === 'half-open') this.#checkProbes(state, tenant)
  }

  view(): BreakerView {
    return { name: this.#state.name, retryAt: this.#state.name === 'open' ? this.#state.retryAt : null }
  }

  /** How many more requests may begin now, and whose had better not: a closed breaker asks nothing of anybody. */
  room(): { allow: number; avoid: readonly string[] } {
    const state = this.#state
    if (state.name === 'closed') return { allow: Number.POSITIVE_INFINITY, avoid: [] }
    if (state.name === 'half-open') {
      const { probing, failed } = state
      return { allow: MAX_PROBES - probing.size, avoid: [...probing, ...failed] }
    }
    // Whoever failed the last round lets the others go first, for half of the rest.
    const lateMs = this.#clock.now() - state.retryAt
    if (lateMs < 0) return { allow: 0, avoid: [] }
    return { allow: MAX_PROBES, avoid: lateMs < state.restMs / 2 ? [...state.failed] : [] }
  }

  /** By an operator's hand. Opened so, it rests for the longest time and then probes as ever. */
  force(name: 'open' | 'closed'): void {
    if (name === 'closed') this.#close()
    else this.#rest(this.#options.maxResetTimeoutMs, new Set())
  }

  close(): void {
    this.#circuit.shutdown()
  }

  #permit(isProbe: boolean, end: (verdict: Verdict) => void): Permit {
    const epoch = this.#epoch
    let ended = false
    return {
      isProbe,
      end: (verdict) => {
        if (ended) return
        ended = true
        if (epoch === this.#epoch) end(verdict)
      },
    }
  }

  #record(tenant: string, verdict: Verdict): void {
    const nowAt = this.#clock.now()
    this.#rotate(nowAt)
    this.#seen.add(tenant, nowAt)
    if (verdict === 'unknown') return
    if (verdict === 'sick') this.#failing.add(tenant, nowAt)
    // A failure is counted, and may open the circuit, before `fire` returns.
    this.#circuit.fire(verdict === 'sick').catch(() => {})
  }

  #severalFail(): boolean {
    const sinceAt = this.#clock.now() - this.#options.windowMs
    return this.#failing.several(sinceAt) || !this.#seen.several(sinceAt)
  }

  /** From open to half-open, if the time has come for this tenant. */
  #wake(state: State & { name: 'open' }, tenant: string): void {
    this.#checkRest(state, tenant)
    this.#move({ name: 'half-open', restMs: state.restMs, probing: new Set(), failed: new Set() })
  }

  #checkRest(state: State & { name: 'open' }, tenant: string): void {
    const handicapMs = state.failed.has(tenant) ? state.restMs / 2 : 0
    const waitMs = state.retryAt + handicapMs - this.#clock.now()
    if (waitMs > 0) throw new Refusal('BREAKER_OPEN', { retryAfterMs: waitMs })
  }

  #probe(tenant: string): Permit {
    const state = this.#state as State & { name: 'half-open' }
    this.#checkProbes(state, tenant)
    state.probing.add(tenant)
    return this.#permit(true, (verdict) => this.#probed(state, tenant, verdict))
  }

  #checkProbes({ probing, failed }: State & { name: 'half-open' }, tenant: string): void {
    if (probing.size < MAX_PROBES && !probing.has(tenant) && !failed.has(tenant)) return
    throw new Refusal('BREAKER_OPEN', { retryAfterMs: this.#options.resetTimeoutMs })
  }

  #probed(state: State & { name: 'half-open' }, tenant: string, verdict: Verdict): void {
    state.probing.delete(tenant)
    if (verdict === 'ok') {
      this.#close()
      return
    }
    if (verdict === 'sick') state.failed.add(tenant)
    if (state.probing.size > 0 || state.failed.size === 0) return
    this.#rest(Math.min(state.restMs * 2, this.#options.maxResetTimeoutMs), state.failed)
  }

  #rest(restMs: number, failed: ReadonlySet<string>): void {
    this.#move({ name: 'open', retryAt: this.#clock.now() + restMs, restMs, failed })
  }

  #close(): void {
    this.#circuit.close()
    for (let i = 0; i < BUCKETS; i++) this.#rotation.emit('rotate') // what failed before the rest is forgiven
    if (this.#state.name !== 'closed') this.#move({ name: 'closed' })
  }

  #move(state: State): void {
    this.#state = state
    this.#epoch++
    this.#onChange(this.view())
  }

  /** Moves the window by the clock whenever somebody looks, so that no timer runs for it at all. */
  #rotate(nowAt: number): void {
    const bucketMs = this.#options.windowMs / BUCKETS
    const passed = Math.floor((nowAt - this.#rotatedAt) / bucketMs)
    if (passed <= 0) return
    this.#rotatedAt += passed * bucketMs
    for (let i = 0; i < Math.min(passed, BUCKETS); i++) {
      // opossum notes every latency, wanted or not: a bound for that list.
      this.#circuit.status.window[0]!.latencyTimes.length = 0
      this.#rotation.emit('rotate')
    }
  }
}

/** opossum's action: the outcome is already there. It throws at once, so that opossum counts it at once. */
function outcome(sick: boolean): Promise<void> {
  if (sick) throw SICK
  return WELL
}

/** Whether several different tenants did something lately, from the last two that differ: nothing grows. */
class Distinct {
  #last: { tenant: string; at: number } | null = null
  #other: { tenant: string; at: number } | null = null

  add(tenant: string, at: number): void {
    if (this.#last && this.#last.tenant !== tenant) this.#other = this.#last
    this.#last = { tenant, at }
  }

  several(sinceAt: number): boolean {
    return this.#other !== null && this.#other.at > sinceAt
  }
}
