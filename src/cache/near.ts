import { LRUCache } from 'lru-cache'
import type { Coding } from '../kernel/exchange.ts'
import type { Purge } from '../kernel/news.ts'
import {
  covers,
  type Entry,
  type EntryFound,
  entryBytes,
  type Found,
  OVERHEAD_BYTES,
  PASS_MS,
  type PassFound,
  type Place,
} from './entry.ts'
import { endOf } from './freshness.ts'

export interface NearOptions {
  /** Bodies, headers and overhead together. 0 turns the tier off. */
  maxBytes: number
  /** How long an entry is used without asking the far tier again; so long a lost purge may go unnoticed. Default 5 s. */
  maxAgeMs?: number
  /** Larger bodies are admitted only when they are read twice within `secondReadMs`. Default 64 KiB. */
  largeBytes?: number
  /** Default 60 s. */
  secondReadMs?: number
}

/** A body as one client is sent it. An Entry is one itself: its own coding. */
export interface Body {
  readonly coding: Coding
  readonly body: Buffer
  readonly etag: string
}

interface Slot {
  readonly found: EntryFound | PassFound
  readonly place: Place
  /** Of the leader that filled it here; '' when it was read from the far tier. */
  readonly token: string
  /** Until when it is used without asking: confirmed plus maxAge, and never past its end. */
  readonly usableUntilAt: number
  readonly endsAt: number
  /** The body in another coding than it is stored in, made when the first client asked for it. */
  readonly variant: Body | null
}

/** No entry may push out more than a quarter of the tier. */
const MAX_SHARE = 4

/** How many large entries that were read once are remembered. */
const MAX_ONCE_READ = 4_096

/**
 * The process's own tier. What it holds was valid when the far tier last said so; purges are heard as news and sweep it.
 * So a read needs no generations, no await and no allocation.
 */
export class Near {
  readonly #slots: LRUCache<string, Slot>
  /** The keys of each tenant that holds any, so that its purge does not walk through everybody's. */
  readonly #byTenant = new Map<string, Set<string>>()
  readonly #onceRead: LRUCache<string, number>
  readonly #keyOf = new WeakMap<Entry, string>()
  readonly #maxEntryBytes: number
  readonly #maxAgeMs: number
  readonly #largeBytes: number
  readonly #secondReadMs: number
  readonly stats = { evicted: 0, refusedLarge: 0, refusedOversize: 0, swept: 0 }

  constructor({ maxBytes, maxAgeMs = 5_000, largeBytes = 64 * 1024, secondReadMs = 60_000 }: NearOptions) {
    this.#maxEntryBytes = Math.max(1, Math.floor(maxBytes / MAX_SHARE))
    this.#maxAgeMs = maxAgeMs
    this.#largeBytes = largeBytes
    this.#secondReadMs = secondReadMs
    this.#onceRead = new LRUCache({ max: MAX_ONCE_READ })
    this.#slots = new LRUCache({
      maxSize: Math.max(1, maxBytes), // lru-cache reads 0 as no bound
      maxEntrySize: this.#maxEntryBytes,
      sizeCalculation: slotBytes,
      dispose: (slot, _key, reason) => {
        if (reason !== 'set') this.#strike(slot)
        if (reason === 'evict') this.stats.evicted++
      },
    })
  }

  get bytes(): number {
    return this.#slots.calculatedSize
  }

  get entries(): number {
    return this.#slots.size
  }

  /** The hot path. */
  peek(key: string, nowAt: number): Found {
    const slot = this.#slots.get(key)
    return slot !== undefined && nowAt < slot.usableUntilAt ? slot.found : null
  }

  /** What is held though the far tier has not confirmed it for more than maxAge; for when that tier is away. */
  peekUnconfirmed(key: string, nowAt: number): Found {
    const slot = this.#slots.get(key)
    return slot !== undefined && nowAt < slot.endsAt ? slot.found : null
  }

  /** What the far tier said or took. A large body must come twice. */
  put(place: Place, found: EntryFound | PassFound, token: string, nowAt: number): void {
    if (!this.#slots.has(place.key) && this.#isFirstOfLarge(place.key, found, nowAt)) this.stats.refusedLarge++
    else this.hold(place, found, token, nowAt)
  }

  /** As put, but large ones at once: for when there is no far tier to read them from again. */
  hold(place: Place, found: EntryFound | PassFound, token: string, nowAt: number): void {
    const old = this.#slots.peek(place.key)
    const endsAt = found.kind === 'entry' ? endOf(found.entry) : nowAt + PASS_MS
    const usableUntilAt = Math.min(endsAt, nowAt + this.#maxAgeMs)
    this.#slots.set(place.key, { found, place, token, endsAt, usableUntilAt, variant: sameVariant(old, found) })
    if (!this.#slots.has(place.key)) this.stats.refusedOversize++
    else this.#enter(place, found)
  }

  #enter({ tenant, key }: Place, found: EntryFound | PassFound): void {
    const keys = this.#byTenant.get(tenant)
    if (keys) keys.add(key)
    else this.#byTenant.set(tenant, new Set([key]))
    if (found.kind === 'entry') this.#keyOf.set(found.entry, key)
  }

  #strike({ place: { tenant, key } }: Slot): void {
    const keys = this.#byTenant.get(tenant)
    keys?.delete(key)
    if (keys?.size === 0) this.#byTenant.delete(tenant)
  }

  #isFirstOfLarge(key: string, found: EntryFound | PassFound, nowAt: number): boolean {
    if (found.kind === 'pass' || found.entry.body.length <= this.#largeBytes) return false
    const lastAt = this.#onceRead.get(key)
    this.#onceRead.set(key, nowAt)
    return lastAt === undefined || nowAt - lastAt >= this.#secondReadMs
  }

  variantOf(entry: Entry, coding: Coding): Body | null {
    const variant = this.#slotOf(entry)?.variant
    return variant?.coding === coding ? variant : null
  }

  /** Kept only while its entry is. */
  keepVariant(entry: Entry, variant: Body): void {
    const slot = this.#slotOf(entry)
    if (!slot) return
    // A new slot, not a changed one: lru-cache measures what is set, and only when it is another object.
    const grown = { ...slot, variant }
    if (slotBytes(grown) > this.#maxEntryBytes) this.stats.refusedOversize++
    else this.#slots.set(slot.place.key, grown)
  }

  #slotOf(entry: Entry): Slot | null {
    const key = this.#keyOf.get(entry)
    const slot = key === undefined ? undefined : this.#slots.peek(key)
    return slot?.found.kind === 'entry' && slot.found.entry === entry ? slot : null
  }

  /** What the far tier holds at `place` is still this entry, but its refresh failed. */
  rearm(place: Place, entry: Entry): void {
    const found = this.#slots.peek(place.key)?.found
    if (found?.kind === 'entry' && found.entry.storedAt === entry.storedAt) found.entry.rearmedAt = entry.rearmedAt
  }

  /** Somebody filled `key`: an entry of another fill than this one is old. */
  dropFilled(key: string, token: string): void {
    const slot = this.#slots.peek(key)
    if (slot && slot.token !== token) this.#slots.delete(key)
  }

  /** Physically, so that a read has nothing to check. O(the tenant's entries), O(1) for a key. */
  sweep(what: Purge): void {
    const before = this.#slots.size
    if (typeof what === 'object' && what !== null && 'key' in what) this.#slots.delete(what.key)
    else if (typeof what !== 'object' || what === null || !isOfTenant(what)) this.#slots.clear()
    else for (const key of this.#coveredBy(what)) this.#slots.delete(key)
    this.stats.swept += before - this.#slots.size
  }

  #coveredBy(what: Purge & { tenant: string }): string[] {
    const keys = this.#byTenant.get(what.tenant) ?? []
    return Array.from(keys).filter((key) => covers(what, this.#slots.peek(key)!.place))
  }

  clear(): void {
    this.#slots.clear()
    this.#onceRead.clear()
  }

  /** For `explain`. */
  inspect(key: string, nowAt: number): NearView | null {
    const slot = this.#slots.peek(key)
    if (!slot) return null
    return {
      kind: slot.found.kind,
      leftMs: Math.max(0, slot.endsAt - nowAt),
      usableMs: Math.max(0, slot.usableUntilAt - nowAt),
      bytes: slotBytes(slot),
    }
  }
}

export interface NearView {
  kind: 'entry' | 'pass'
  leftMs: number
  /** How long it is used without asking the far tier again. */
  usableMs: number
  bytes: number
}

/** A confirmed entry with the same body keeps what was made of it. */
function sameVariant(old: Slot | undefined, found: EntryFound | PassFound): Body | null {
  const isSame = old?.found.kind === 'entry' && found.kind === 'entry' && old.found.entry.etag === found.entry.etag
  return isSame ? old.variant : null
}

function slotBytes({ found, variant }: Slot): number {
  return (found.kind === 'entry' ? entryBytes(found.entry) : OVERHEAD_BYTES) + (variant?.body.length ?? 0)
}

const isOfTenant = (what: Purge): what is Purge & { tenant: string } =>
  'tenant' in what && typeof what.tenant === 'string'
