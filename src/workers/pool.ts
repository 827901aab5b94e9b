import type { Clock } from '../kernel/clock.ts'
import { StoreUnavailable } from '../kernel/errors.ts'
import { Leases } from '../queue/leases.ts'
import type { Claimed, ClaimWish, Ending, Finished, Given, LeaseRef, Scheduler } from '../queue/scheduler.ts'
import { LEASE_MS } from '../queue/scheduler.ts'
import { type Done, Stop, type StopReason, type Work } from '../queue/work.ts'

export interface PoolOptions {
  scheduler: Scheduler
  clock: Clock
  /** Jobs at a time; may change while it runs. */
  concurrency: () => number
  wish: (want: number) => ClaimWish
  /** Never rejects. */
  run: (work: Work) => Promise<Done>
  onGiven: (given: Given) => void
  onEnd: (end: PoolEnd) => void
}

/** How an attempt ended, for counting. */
export interface PoolEnd {
  claimed: Claimed
  finished: Finished
  ending: Ending
  tookMs: number
}

/** Claimed in one call at most: a larger batch would be unfair to other workers. */
const BATCH = 8
/** A blocking read for marks ends after this long, ms; then it is looked whether there are jobs all the same. */
const BLOCK_MS = 10_000
/** While every upstream rests, or the store is away, ms. */
const PAUSE_MS = 500

interface Running {
  ref: LeaseRef
  stop: AbortController
}

/**
 * The worker pool of one process: claims as many jobs as it may run, holds their leases, hands in what became of them,
 * and takes the next in the same call. It decides nothing about their order.
 */
export class Pool {
  readonly #options: PoolOptions
  readonly #leases: Leases
  readonly #running = new Map<string, Running>()
  /** Those that run, and those whose ending is being handed in. */
  readonly #open = new Set<Promise<void>>()
  readonly #closing = new AbortController()
  readonly #deafen: () => void
  /** Asked for and not answered yet. */
  #reserved = 0
  /** The last answer had fewer than were wanted: there is nothing more until a mark says so. */
  #isDry = false
  #freed = Promise.withResolvers<void>()
  #claiming: Promise<void> | undefined
  #ended = 0

  constructor(options: PoolOptions) {
    this.#options = options
    this.#leases = new Leases({
      scheduler: options.scheduler,
      clock: options.clock,
      onState: ({ id, fence }) => this.#stop(`${id} ${fence}`, 'lost'),
    })
    this.#deafen = options.scheduler.onPush((push) => {
      if (push.kind !== 'stop') return
      for (const [name, { ref }] of this.#running) if (ref.id === push.job) this.#stop(name, 'cancelled')
    })
  }

  /** Jobs that run in this process now, and that have ended here since the start. */
  get running(): number {
    return this.#running.size
  }

  get ended(): number {
    return this.#ended
  }

  start(): void {
    this.#claiming ??= this.#claimForEver()
  }

  get #free(): number {
    return Math.max(0, this.#options.concurrency() - this.#running.size - this.#reserved)
  }

  async #claimForEver(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      if (this.#free === 0) await this.#untilFree()
      else if (this.#isDry) await this.#untilMarked()
      else await this.#claim()
    }
  }

  async #untilFree(): Promise<void> {
    this.#freed = Promise.withResolvers()
    if (this.#free === 0) await this.#freed.promise
  }

  async #untilMarked(): Promise<void> {
    const { scheduler, wish, clock } = this.#options
    const { signal } = this.#closing
    const all = wish(1).upstreams
    const upstreams = all.filter(({ allow }) => allow > 0).map(({ name }) => name)
    // A resting upstream, and a tenant that is told to wait, is looked at again before long; marks end the wait at once.
    const rests = all.some(({ allow, avoid }) => allow === 0 || avoid.length > 0)
    if (upstreams.length === 0)
      await clock.sleep(PAUSE_MS, signal).catch(() => {}) // closing
    else await scheduler.wait(upstreams, rests ? PAUSE_MS : BLOCK_MS, signal)
    this.#isDry = false
  }

  async #claim(): Promise<void> {
    const { scheduler, wish, clock } = this.#options
    const want = Math.min(this.#free, BATCH)
    this.#reserved += want
    try {
      this.#take(await scheduler.claim(wish(want)), want)
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      await clock.sleep(PAUSE_MS, this.#closing.signal).catch(() => {}) // closing
    } finally {
      this.#reserved -= want
    }
  }

  #take(given: Given, want: number): void {
    this.#isDry = given.claimed.length < want
    this.#options.onGiven(given)
    for (const claimed of given.claimed) this.#begin(claimed)
  }

  #begin(claimed: Claimed): void {
    const { id, tenant, fence } = claimed
    const name = `${id} ${fence}`
    const ref = { id, tenant, fence }
    const stop = new AbortController()
    this.#leases.hold(ref)
    const running = { ref, stop }
    this.#running.set(name, running)
    const open = this.#run(claimed, name, running).finally(() => this.#open.delete(open))
    this.#open.add(open)
    if (this.#closing.signal.aborted) this.#stop(name, 'drain') // claimed as it closed
  }

  async #run(claimed: Claimed, name: string, { ref, stop }: Running): Promise<void> {
    const startedAt = this.#options.clock.now()
    const lend = () => this.#lend(ref)
    const { ending, servedMs, settled } = await this.#options.run({ claimed, signal: stop.signal, lend })
    this.#running.delete(name)
    const finished = await this.#finish(ref, ending, servedMs)
    settled(finished.kept)
    this.#ended++
    this.#freed.resolve()
    this.#options.onEnd({ claimed, finished, ending, tookMs: this.#options.clock.now() - startedAt })
  }

  async #lend(ref: LeaseRef): Promise<void> {
    try {
      this.#options.onGiven(await this.#options.scheduler.lend(ref, this.#options.wish(0)))
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error // then it keeps the slot while it rides
    }
  }

  /** Hands it in, while its lease can still be alive: a store that is away is waited for. */
  async #finish(ref: LeaseRef, ending: Ending, servedMs: number | null): Promise<Finished> {
    const { scheduler, clock, wish } = this.#options
    const untilAt = clock.now() + LEASE_MS
    const finish = { ...ref, ending, servedMs: servedMs === null ? null : Math.round(servedMs) }
    try {
      for (let waitMs = 50; ; waitMs = Math.min(2 * waitMs, 1_000)) {
        const want = this.#closing.signal.aborted ? 0 : Math.min(this.#free, BATCH)
        this.#reserved += want
        try {
          const finished = await scheduler.finish(finish, wish(want))
          this.#reserved -= want
          this.#take(finished, want)
          return finished
        } catch (error) {
          this.#reserved -= want
          if (!(error instanceof StoreUnavailable)) throw error
          if (clock.now() > untilAt) return LOST
        }
        await clock.sleep(waitMs)
      }
    } finally {
      this.#leases.drop(ref)
    }
  }

  #stop(name: string, reason: StopReason): void {
    this.#running.get(name)?.stop.abort(new Stop(reason))
  }

  /** Claims no more; what runs may finish for so long, the rest is given back unharmed. */
  async drain(timeoutMs: number): Promise<void> {
    this.#closing.abort()
    this.#freed.resolve()
    const timer = setTimeout(() => {
      for (const name of this.#running.keys()) this.#stop(name, 'drain')
    }, timeoutMs)
    await this.#claiming
    while (this.#open.size > 0) await Promise.all(this.#open)
    clearTimeout(timer)
    this.#deafen()
    await this.#leases.close()
  }
}

const LOST: Finished = { kept: false, status: null, claimed: [], held: false, nextDueAt: null }
