import { LRUCache } from 'lru-cache'
import type { Bus } from '../kernel/bus.ts'
import type { Clock } from '../kernel/clock.ts'
import { encodeNews, type Purge } from '../kernel/news.ts'
import {
  type Entry,
  type EntryFound,
  entryBytes,
  type Found,
  OVERHEAD_BYTES,
  PASS,
  PASS_MS,
  type PassFound,
  type Place,
  type Ticket,
} from './entry.ts'
import { type Bounds, type Far, FarEvents, type FarStats, type FarView, type FillOutcome } from './far.ts'
import { endOf } from './freshness.ts'

const FENCE_MS = 600_000
/** A leader whose fence is pushed out by newer ones is refused; no process leads that many flights at once. */
const MAX_FENCES = 100_000
/** A generation that is pushed out makes its entries misses. */
const MAX_GENERATIONS = 100_000
/** What one fill does at most about entries that have ended. */
const MAX_SWEPT = 100

interface Held {
  found: EntryFound | PassFound
  tenant: string
  generation: string
  endsAt: number
  bytes: number
}

/** One tenant's share. A Set keeps its order of insertion, and a read inserts again: least recently used first. */
interface Books {
  bytes: number
  keys: Set<string>
}

export interface MemoryFarOptions {
  clock: Clock
  bus: Bus
  /** Over all tenants. */
  maxBytes: number
  fenceMs?: number
}

/** For one process without Redis. Hands out the very entries it holds, so that a body is in memory once. */
export class MemoryFar implements Far {
  readonly #clock: Clock
  readonly #bus: Bus
  readonly #fenceMs: number
  readonly #maxBytes: number
  readonly #held: LRUCache<string, Held>
  readonly #books = new Map<string, Books>() // a tenant that holds nothing has none, so `maxBytes` bounds it
  readonly #generations = new LRUCache<string, string>({ max: MAX_GENERATIONS })
  readonly #fences = new LRUCache<string, { token: string; endsAt: number }>({ max: MAX_FENCES })
  readonly #events = new FarEvents()
  #lastGeneration = 0

  constructor({ clock, bus, maxBytes, fenceMs = FENCE_MS }: MemoryFarOptions) {
    this.#clock = clock
    this.#bus = bus
    this.#fenceMs = fenceMs
    this.#maxBytes = maxBytes
    this.#held = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: (held) => held.bytes,
      dispose: (held, key, reason) => {
        this.#strike(held, key)
        if (reason === 'evict') this.#events.count('evicted')
      },
    })
  }

  async read(place: Place): Promise<Found> {
    return this.#valid(place)?.found ?? null
  }

  async begin(place: Place, token: string): Promise<{ found: Found; ticket: Ticket }> {
    this.#fences.set(place.key, { token, endsAt: this.#clock.now() + this.#fenceMs })
    for (const name of generationNames(place)) {
      if (!this.#generations.has(name)) this.#generations.set(name, `${++this.#lastGeneration}`)
    }
    const generation = this.#generationOf(place)!
    return { found: this.#valid(place)?.found ?? null, ticket: { token, generation } }
  }

  async fill(place: Place, entry: Entry, ticket: Ticket, { maxTenantBytes }: Bounds): Promise<FillOutcome> {
    const bytes = entryBytes(entry)
    if (bytes > Math.min(maxTenantBytes, this.#maxBytes)) return 'full'
    return this.#put(place, ticket, { found: { kind: 'entry', entry }, endsAt: endOf(entry), bytes }, maxTenantBytes)
  }

  async fillPass(place: Place, ticket: Ticket): Promise<FillOutcome> {
    const endsAt = this.#clock.now() + PASS_MS
    return this.#put(place, ticket, { found: PASS, endsAt, bytes: OVERHEAD_BYTES }, Number.MAX_SAFE_INTEGER)
  }

  #put(
    { key, tenant, ...place }: Place,
    { token, generation }: Ticket,
    what: Pick<Held, 'found' | 'endsAt' | 'bytes'>,
    maxTenantBytes: number,
  ): FillOutcome {
    const fence = this.#fences.get(key)
    if (fence?.token !== token || fence.endsAt <= this.#clock.now()) return 'lost'
    this.#fences.delete(key)
    if (this.#generationOf({ key, tenant, ...place }) !== generation) return 'purged'
    this.#held.set(key, { ...what, tenant, generation })
    const books = this.#enter(tenant, key, what.bytes)
    this.#trim(books, maxTenantBytes)
    this.#bus.publish(encodeNews({ kind: 'filled', key, token }))
    return 'stored'
  }

  #enter(tenant: string, key: string, bytes: number): Books {
    const books = this.#books.get(tenant) ?? { bytes: 0, keys: new Set() }
    this.#books.set(tenant, books)
    books.bytes += bytes
    books.keys.add(key)
    return books
  }

  #strike({ tenant, bytes }: Held, key: string): void {
    const books = this.#books.get(tenant)
    if (!books) return
    books.bytes -= bytes
    books.keys.delete(key)
    if (books.keys.size === 0) this.#books.delete(tenant)
  }

  /** Ended entries are no longer read, so they stand among the least recently used. */
  #trim(books: Books, maxBytes: number): void {
    const nowAt = this.#clock.now()
    let looked = 0
    for (const key of books.keys) {
      if (books.bytes <= maxBytes && looked++ >= MAX_SWEPT) return
      const hasEnded = this.#held.peek(key)!.endsAt <= nowAt
      if (!hasEnded && books.bytes <= maxBytes) continue
      this.#held.delete(key)
      if (!hasEnded) this.#events.count('evicted')
    }
  }

  async rearm(place: Place, entry: Entry): Promise<void> {
    const found = this.#held.peek(place.key)?.found
    if (found?.kind === 'entry' && found.entry.storedAt === entry.storedAt) found.entry.rearmedAt = entry.rearmedAt
  }

  async purge(what: Purge): Promise<void> {
    if ('all' in what) this.#generations.delete(GLOBAL)
    else if ('tags' in what) for (const tag of what.tags) this.#generations.delete(tagName(what.tenant ?? '*', tag))
    else if ('key' in what) this.#forget(what.key)
    else this.#generations.delete(tenantName(what.tenant))
  }

  #forget(key: string): void {
    this.#held.delete(key)
    this.#fences.delete(key)
  }

  async inspect(place: Place): Promise<FarView> {
    const held = this.#valid(place)
    const fence = this.#fences.peek(place.key)
    return {
      kind: held?.found.kind ?? null,
      leftMs: held ? held.endsAt - this.#clock.now() : null,
      bytes: held?.bytes ?? null,
      generation: this.#generationOf(place),
      isFenced: fence !== undefined && fence.endsAt > this.#clock.now(),
    }
  }

  stats(): FarStats {
    return { bytes: this.#held.calculatedSize, entries: this.#held.size, events: this.#events.counts }
  }

  async close(): Promise<void> {
    this.#held.clear()
  }

  /** What is not valid any more is dropped as it is met. */
  #valid(place: Place): Held | null {
    const held = this.#held.get(place.key)
    if (!held) return null
    if (held.generation !== this.#generationOf(place) || held.endsAt <= this.#clock.now()) {
      this.#held.delete(place.key)
      return null
    }
    const keys = this.#books.get(held.tenant)!.keys
    keys.delete(place.key)
    keys.add(place.key)
    return held
  }

  #generationOf(place: Place): string | null {
    const generations = generationNames(place).map((name) => this.#generations.get(name))
    return generations.includes(undefined) ? null : generations.join(' ')
  }
}

const GLOBAL = '*'
const tenantName = (tenant: string): string => `${tenant}:`
const tagName = (tenant: string, tag: string): string => `${tenant}:${tag}:`

const generationNames = ({ tenant, tags }: Place): string[] => [
  GLOBAL,
  tenantName(tenant),
  ...tags.flatMap((tag) => [tagName(tenant, tag), tagName('*', tag)]),
]
