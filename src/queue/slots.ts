import type { Clock } from '../kernel/clock.ts'
import { StoreUnavailable } from '../kernel/errors.ts'
import { Leases } from './leases.ts'
import type * as port from './scheduler.ts'

export interface SlotAsk {
  wish: Omit<port.SlotWish, 'id' | 'process'>
  limits: port.TenantLimits
  door: port.Door
  /** Aborts when nobody wants it any more: its place is given back at once. */
  signal: AbortSignal
  /** ms; past it the answer is `late`. */
  maxWaitMs: number
}

/** The right to one upstream query, until it is released. */
export interface Slot {
  queuedMs: number
  /** @param servedMs how long the upstream worked for it, ms; null: it was not asked. Said once. Never throws. */
  release(servedMs: number | null): void
}

export type SlotAnswer =
  /** `degraded`: this process decided alone, because the store is away; the rate was not asked. */
  | { kind: 'granted'; slot: Slot; rate: port.RateTaking | null; degraded: boolean; wouldRefuse: boolean }
  | port.Refused
  | { kind: 'late'; waitMs: number }
  /** Sent away, see `dismiss`. */
  | { kind: 'dismissed'; why: Error }

export interface SlotsOptions {
  scheduler: port.Scheduler
  /** Decides for this process alone while the store is away; null where the store cannot be away. */
  local: port.Scheduler | null
  /** How many processes share the limits; 0 = never known. */
  census: { readonly size: number }
  clock: Clock
  process: string
  upstreams: () => readonly port.UpstreamWish[]
  onGiven: (given: port.Given) => void
}

/** Room was left for a worker on its way: it has this long to come, ms. */
const HELD_MS = 20

type Event = 'granted' | 'lost' | 'moved' | 'left' | 'late' | Error

interface Waiter {
  tenant: string
  upstream: string
  tell: (event: Event) => void
}

/** The slots of waiting requests: each waits in place, in one order with jobs, until it is granted one by a push. */
export class Slots {
  readonly #options: SlotsOptions
  readonly #leases: Leases
  readonly #waiters = new Map<string, Waiter>()
  readonly #deafen: () => void
  #made = 0
  #nudging = false

  constructor(options: SlotsOptions) {
    this.#options = options
    this.#leases = new Leases({
      scheduler: options.scheduler,
      clock: options.clock,
      onState: ({ id }, state) => {
        if (state !== 'waiting') this.#waiters.get(id)?.tell(state === 'granted' ? 'granted' : 'lost')
      },
    })
    const heard = (push: port.Push) => {
      if (push.kind === 'granted') this.#waiters.get(push.slot)?.tell('granted')
    }
    const deafen = [options.scheduler.onPush(heard), options.local?.onPush(heard)]
    this.#deafen = () => {
      for (const stop of deafen) stop?.()
    }
  }

  /** Requests of this process that wait now. */
  get waiting(): number {
    return this.#waiters.size
  }

  /** What this process asks the scheduler for: so many jobs. */
  wish(want: number): port.ClaimWish {
    return { process: this.#options.process, want, upstreams: this.#options.upstreams() }
  }

  /** Waits until it is this request's turn. Rejects with the signal's reason. */
  async take(ask: SlotAsk): Promise<SlotAnswer> {
    ask.signal.throwIfAborted()
    const { scheduler, local } = this.#options
    try {
      return await this.#take(ask, scheduler, false)
    } catch (error) {
      if (!(error instanceof StoreUnavailable) || !local) throw error
      return this.#take(this.#shareOf(ask), local, true)
    }
  }

  async #take(ask: SlotAsk, scheduler: port.Scheduler, degraded: boolean): Promise<SlotAnswer> {
    const { clock, process } = this.#options
    const startedAt = clock.now()
    const id = `${process}.${(++this.#made).toString(36)}`
    const { tenant, upstream } = ask.wish
    const told = Promise.withResolvers<Event>()
    this.#waiters.set(id, { tenant, upstream, tell: told.resolve })
    const ref = { id, tenant, fence: 0 }
    try {
      const taken = await scheduler.acquire({ ...ask.wish, id, process }, ask.limits, ask.door)
      if (taken.kind === 'full' || taken.kind === 'limited') return taken
      if (!degraded) this.#leases.hold(ref)
      const wouldRefuse = taken.kind === 'waiting' && taken.wouldRefuse
      if (taken.kind === 'waiting') {
        if (taken.held) this.#nudgeSoon(scheduler)
        const event = await this.#event(told.promise, ask)
        if (event !== 'granted') return await this.#notGranted(event, ref, scheduler, ask, startedAt)
      }
      const slot = { queuedMs: clock.now() - startedAt, release: this.#releaseOnce(ref, scheduler) }
      return { kind: 'granted', slot, rate: taken.rate, degraded, wouldRefuse }
    } catch (error) {
      // The answer was lost, perhaps not the question: what may have been taken is given back.
      if (error instanceof StoreUnavailable) this.#undo(ref, scheduler)
      throw error
    } finally {
      this.#waiters.delete(id)
    }
  }

  async #event(told: Promise<Event>, { signal, maxWaitMs }: SlotAsk): Promise<Event> {
    const over = new AbortController()
    const late = this.#options.clock.sleep(maxWaitMs, AbortSignal.any([signal, over.signal])).then(
      () => 'late' as const,
      () => 'left' as const,
    )
    try {
      return await Promise.race([told, late])
    } finally {
      over.abort()
    }
  }

  async #notGranted(
    event: Exclude<Event, 'granted'>,
    ref: port.LeaseRef,
    scheduler: port.Scheduler,
    ask: SlotAsk,
    startedAt: number,
  ): Promise<SlotAnswer> {
    this.#releaseOnce(ref, scheduler)(null)
    const waitedMs = this.#options.clock.now() - startedAt
    // Its rate was charged as it came.
    const rest = { ...ask, door: { ...ask.door, rate: null }, maxWaitMs: Math.max(1, ask.maxWaitMs - waitedMs) }
    ask.signal.throwIfAborted()
    if (event instanceof Error) return { kind: 'dismissed', why: event }
    if (event === 'lost' || event === 'moved') return this.take(rest) // its place is gone: it stands in line anew
    return { kind: 'late', waitMs: waitedMs }
  }

  #releaseOnce(ref: port.LeaseRef, scheduler: port.Scheduler): (servedMs: number | null) => void {
    let isReleased = false
    return (servedMs) => {
      if (isReleased) return
      isReleased = true
      this.#leases.drop(ref)
      const next = this.wish(0)
      scheduler.release({ ...ref, servedMs: servedMs === null ? null : Math.round(servedMs) }, next).then(
        (given) => this.#given(given, scheduler),
        (error) => {
          if (error instanceof StoreUnavailable) this.#undo(ref, scheduler)
          else throw error
        },
      )
    }
  }

  #given(given: port.Given, scheduler: port.Scheduler): void {
    if (given.held) this.#nudgeSoon(scheduler)
    if (scheduler === this.#options.scheduler) this.#options.onGiven(given)
  }

  /** Tries to give back what may be held until its lease has run out by itself. */
  async #undo(ref: port.LeaseRef, scheduler: port.Scheduler): Promise<void> {
    this.#leases.drop(ref)
    for (let waitMs = 100; waitMs < 8_000; waitMs *= 2) {
      await this.#options.clock.sleep(waitMs)
      const given = await scheduler.release({ ...ref, servedMs: null }, this.wish(0)).catch(() => null)
      if (given) return this.#given(given, scheduler)
    }
  }

  async #nudgeSoon(scheduler: port.Scheduler): Promise<void> {
    if (this.#nudging) return
    this.#nudging = true
    await this.#options.clock.sleep(HELD_MS)
    this.#nudging = false
    // Where the store is away the waiting requests move to this process's own order.
    await scheduler
      .nudge(this.wish(0))
      .then((given) => this.#given(given, scheduler))
      .catch(() => {})
  }

  /** Room was held: look again soon. */
  held(): void {
    void this.#nudgeSoon(this.#options.scheduler)
  }

  /** While the store is away each process has its part of every limit, at least one. */
  #shareOf(ask: SlotAsk): SlotAsk {
    const parts = Math.max(1, this.#options.census.size)
    const share = (limit: number) => Math.max(1, Math.floor(limit / parts))
    const { limits, wish } = ask
    return {
      ...ask,
      wish: { ...wish, width: share(wish.width) },
      limits: {
        ...limits,
        hard: share(limits.hard),
        soft: share(limits.soft),
        maxQueue: Math.floor(limits.maxQueue / parts),
      },
      door: { ...ask.door, rate: null },
    }
  }

  /** Sends away who waits for this upstream: it is resting. */
  dismiss(upstream: string, why: Error): void {
    for (const waiter of this.#waiters.values()) if (waiter.upstream === upstream) waiter.tell(why)
  }

  /** The store is away: whoever waits for it moves to this process's own order. */
  storeLost(): void {
    for (const waiter of this.#waiters.values()) waiter.tell('moved')
  }

  async close(): Promise<void> {
    this.#deafen()
    await this.#leases.close()
  }
}
