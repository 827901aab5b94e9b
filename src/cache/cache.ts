import type { Bus } from '../kernel/bus.ts'
import type { Clock } from '../kernel/clock.ts'
import { decodeNews, encodeNews, type News, type Purge } from '../kernel/news.ts'
import type { Accepted } from './accept.ts'
import { covers, type Entry, type Found, PASS, type Place, type Ticket } from './entry.ts'
import type { Bounds, Far, FarStats, FarView, FillOutcome } from './far.ts'
import { type Body, Near, type NearOptions, type NearView } from './near.ts'
import { Variants } from './variants.ts'

export type { Body, NearOptions, NearView } from './near.ts'

/** What happened behind a caller's back, for `sluice_cache_errors_total{op}` and the log. */
export type CacheEvent = 'gap' | 'rearm-failed'

export interface CacheOptions {
  near: NearOptions
  far: Far
  bus: Bus
  clock: Clock
  onEvent?: (event: CacheEvent) => void
}

export interface CacheStats {
  nearBytes: number
  nearEntries: number
  near: Readonly<Near['stats']>
  far: FarStats
  gaps: number
}

/** The far tier is being asked, and what it says may be kept here unless news in the meantime make it old. */
interface Watch {
  readonly place: Place
  /** Whose fill is no news to it. */
  readonly token: string
  isSpoiled: boolean
}

interface Reading extends Watch {
  promise: Promise<Found>
}

/**
 * Two tiers as one. Near answers at once or not at all; far is asked once for all who ask the same at the same time.
 *
 * What keeps near honest: every purge and fill is heard on the bus and sweeps it; an answer of the far tier that was under
 * way when such news came is handed on but not kept; a broken bus empties it; and past `near.maxAgeMs` everything is
 * confirmed by the far tier again, so that lost news cost no more than that.
 *
 * Build it before whoever else listens on the bus for fills: a follower that is woken reads at once.
 */
export class Cache {
  readonly #near: Near
  readonly #variants: Variants
  readonly #far: Far
  readonly #bus: Bus
  readonly #clock: Clock
  readonly #onEvent: (event: CacheEvent) => void
  /** By key; bounded by the requests that run. */
  readonly #readings = new Map<string, Reading>()
  readonly #watches = new Set<Watch>()
  readonly #stopListening: (() => void)[]
  #gaps = 0
  #purges = 0

  constructor({ near, far, bus, clock, onEvent = () => {} }: CacheOptions) {
    this.#near = new Near(near)
    this.#variants = new Variants(this.#near)
    this.#far = far
    this.#bus = bus
    this.#clock = clock
    this.#onEvent = onEvent
    this.#stopListening = [bus.listen((message) => this.#hear(message)), bus.onGap(() => this.#forgetAll())]
  }

  /** Near only, at once. */
  peek(key: string): Found {
    return this.#near.peek(key, this.#clock.now())
  }

  /**
   * What near still holds though the far tier could not confirm it within maxAge. Only for when that tier is away: purges
   * by others in the meantime may be unknown here.
   */
  peekUnconfirmed(key: string): Found {
    return this.#near.peekUnconfirmed(key, this.#clock.now())
  }

  /** Far, kept in near. Throws StoreUnavailable. */
  read(place: Place): Promise<Found> {
    const running = this.#readings.get(place.key)
    if (running) return running.promise
    const reading: Reading = { place, token: '', isSpoiled: false, promise: Promise.resolve(null) }
    reading.promise = this.#read(reading)
    this.#readings.set(place.key, reading)
    return reading.promise
  }

  async #read(reading: Reading): Promise<Found> {
    try {
      return await this.#watched(
        reading,
        () => this.#far.read(reading.place),
        (found) => found,
      )
    } finally {
      this.#release(reading)
    }
  }

  /** A reading that is over, or that news made old: who comes now asks anew. */
  #release(reading: Watch): void {
    if (this.#readings.get(reading.place.key) === reading) this.#readings.delete(reading.place.key)
  }

  /** A leader starts: its token becomes the fence, and the far tier is looked at once more. One round trip. */
  begin(place: Place, token: string): Promise<{ found: Found; ticket: Ticket }> {
    const watch = { place, token: '', isSpoiled: false }
    return this.#watched(
      watch,
      () => this.#far.begin(place, token),
      ({ found }) => found,
    )
  }

  /** Stores a leader's answer, if its ticket is still good. Near keeps it only if far took it. */
  fill(place: Place, entry: Entry, ticket: Ticket, bounds: Bounds): Promise<FillOutcome> {
    const watch = { place, token: ticket.token, isSpoiled: false }
    const found = { kind: 'entry', entry } as const
    return this.#watched(
      watch,
      () => this.#far.fill(place, entry, ticket, bounds),
      (how) => (how === 'stored' ? found : null),
    )
  }

  /** Leaves the hit-for-miss marker. */
  fillPass(place: Place, ticket: Ticket): Promise<FillOutcome> {
    const watch = { place, token: ticket.token, isSpoiled: false }
    return this.#watched(
      watch,
      () => this.#far.fillPass(place, ticket),
      (how) => (how === 'stored' ? PASS : null),
    )
  }

  async #watched<T>(watch: Watch, ask: () => Promise<T>, keep: (answer: T) => Found): Promise<T> {
    this.#watches.add(watch)
    try {
      const answer = await ask()
      const found = keep(answer)
      if (found && !watch.isSpoiled) this.#near.put(watch.place, found, watch.token, this.#clock.now())
      return answer
    } finally {
      this.#watches.delete(watch)
    }
  }

  /** Near only: for when the far tier is away. */
  admit(place: Place, entry: Entry): void {
    this.#near.hold(place, { kind: 'entry', entry }, '', this.#clock.now())
  }

  /** A refresh failed: all who hold this entry serve it for a while without another try. Returns at once. */
  rearm(place: Place, entry: Entry): void {
    entry.rearmedAt = this.#clock.now()
    this.#near.rearm(place, entry)
    this.#far.rearm(place, entry).catch(() => this.#onEvent('rearm-failed'))
  }

  /**
   * Far first, then the news: who hears of it must not find the old answer there. Where far is away this process's own
   * tier is swept all the same, and StoreUnavailable tells the caller that the others are not.
   */
  async purge(what: Purge): Promise<void> {
    try {
      await this.#far.purge(what)
    } finally {
      this.#sweep(what)
    }
    this.#bus.publish(encodeNews({ kind: 'purged', what }))
  }

  /**
   * An entry's body as this client takes it: the entry itself where it takes its coding, at no cost. Another coding is made once,
   * kept with the entry in near and counted there; a large one is made on the thread pool, hence the promise.
   */
  bodyFor(entry: Entry, accepted: Accepted): Body | Promise<Body> {
    return accepted[entry.coding] ? entry : this.#variants.of(entry, accepted)
  }

  /** Which tiers hold a place, for `explain`. Throws StoreUnavailable. */
  async inspect(place: Place): Promise<{ near: NearView | null; far: FarView; generation: string | null }> {
    const far = await this.#far.inspect(place)
    return { near: this.#near.inspect(place.key, this.#clock.now()), far, generation: far.generation }
  }

  stats(): CacheStats {
    const { bytes: nearBytes, entries: nearEntries, stats: near } = this.#near
    return { nearBytes, nearEntries, near, far: this.#far.stats(), gaps: this.#gaps }
  }

  #hear(message: string): void {
    const news: News | undefined = decodeNews(message)
    if (news?.kind === 'purged') this.#sweep(news.what)
    if (news?.kind !== 'filled') return
    this.#near.dropFilled(news.key, news.token)
    this.#spoil((watch) => watch.place.key === news.key && watch.token !== news.token)
  }

  /** Purges heard of, one's own at once: a request that comes after one must not share what was asked before it. */
  get purges(): number {
    return this.#purges
  }

  #sweep(what: Purge): void {
    this.#purges++
    this.#near.sweep(what)
    this.#spoil((watch) => covers(what, watch.place))
  }

  #forgetAll(): void {
    this.#gaps++
    this.#onEvent('gap')
    this.#near.clear()
    this.#spoil(() => true)
  }

  #spoil(isOld: (watch: Watch) => boolean): void {
    for (const watch of this.#watches) {
      if (!isOld(watch)) continue
      watch.isSpoiled = true
      this.#release(watch)
    }
  }

  /** Stops listening and closes the far tier. A second call does nothing. */
  async close(): Promise<void> {
    for (const stop of this.#stopListening.splice(0)) stop()
    this.#near.clear()
    await this.#far.close()
  }
}
