import { sha256 } from '../kernel/digest.ts'
import type { Coding, FlatHeaders } from '../kernel/exchange.ts'
import type { Purge } from '../kernel/news.ts'

/** One remembered answer. A plain object: both tiers may hold the same one, so its body is in memory once. */
export interface Entry {
  status: number
  /** Names in lower case, end-to-end only, without what belongs to one delivery (storedHeaders in storable.ts). */
  headers: FlatHeaders
  coding: Coding
  /** Stored once, in `coding`. */
  body: Buffer
  /** Length of the body in no coding. */
  rawBytes: number
  /** Strong, quoted, made from the hash of the stored bytes. */
  etag: string
  /** Wall time of the fill, ms since the epoch. */
  storedAt: number
  ttlMs: number
  /** stale-while-revalidate: how long past ttlMs it may be served while it is refreshed. */
  staleMs: number
  /** stale-if-error: how long past ttlMs it may be served when the upstream fails. */
  errorMs: number
  /** What it cost to make, Δ of XFetch. */
  computeMs: number
  /** When a refresh last failed, ms since the epoch; 0 if none did. Stale is served without another try for a while after. */
  rearmedAt: number
}

/** Where an answer belongs. */
export interface Place {
  /** A digest over everything that makes the question (tenant included): no two places have the same. */
  readonly key: string
  /** '' where the identity is shared by all tenants. */
  readonly tenant: string
  readonly tags: readonly string[]
}

export type EntryFound = { readonly kind: 'entry'; readonly entry: Entry }
/** A marker: answers at this place cannot be shared, so ask without a flight (Varnish calls it hit-for-miss). */
export type PassFound = { readonly kind: 'pass' }
export type Found = EntryFound | PassFound | null

/** A leader's right to fill one place. */
export interface Ticket {
  /** The fence: only the newest leader's token may fill. */
  readonly token: string
  /** The generations of the place when its leader began, joined by blanks. */
  readonly generation: string
}

export const PASS: PassFound = Object.freeze({ kind: 'pass' })

/** How long a pass marker stands. Varnish's default `uncacheable_ttl` is the same. */
export const PASS_MS = 120_000

/** Keys, headers' array, map slots, books: what an entry costs beside its own bytes. Keeps tiny entries from being free. */
export const OVERHEAD_BYTES = 512

/** More would make every read a long MGET; routes have a handful. */
export const MAX_TAGS = 32

export function entryBytes(entry: Entry): number {
  let bytes = OVERHEAD_BYTES + entry.body.length
  for (const text of entry.headers) bytes += text.length
  return bytes
}

export const etagOf = (body: Uint8Array): string => `"${sha256(body).slice(0, 22)}"`

/**
 * Cuts a body loose from the buffer it is a slice of. zlib hands out slices of 64 KiB chunks and ioredis slices of what
 * the socket read, so a body of 2 KiB would keep 64 KiB alive for as long as it is remembered.
 */
export function compact(body: Buffer): Buffer {
  if (body.buffer.byteLength <= body.length + (body.length >> 3) + 64) return body
  const copy = Buffer.allocUnsafeSlow(body.length)
  body.copy(copy)
  return copy
}

/** Whether a purge concerns a place. What this version cannot read concerns every place: better asked once more than wrong. */
export function covers(what: Purge, place: Place): boolean {
  if (typeof what !== 'object' || what === null || 'all' in what) return true
  if (typeof what.tenant === 'string' && what.tenant !== place.tenant) return false
  if ('key' in what) return what.key === place.key
  if ('tags' in what) return !Array.isArray(what.tags) || what.tags.some((tag) => place.tags.includes(tag))
  return true
}
