import { sha256 } from '../kernel/digest.ts'
import type { Purge } from '../kernel/news.ts'
import type { KeySpace } from '../kernel/redis/keys.ts'
import { MAX_TAGS, type Place } from './entry.ts'

/** A tag may hold what a client sent; a longer one stands in the key as its digest. */
const MAX_TAG_LENGTH = 64

/** Sizes in the books are in these. */
export const UNIT_BYTES = 128
/**
 * A score in the ledger holds both when an entry ends and how large it is: end in seconds × LEDGER_ROOM + units. One structure
 * instead of two saves 93 bytes an entry. 2^21 units are 256 MiB; with 32 bits of seconds that is 53 bits, exact in a double.
 */
export const LEDGER_ROOM = 2 ** 21

/** Which Redis keys hold what. All that concern one place lie in its tenant's slot. */
export class FarKeys {
  readonly #keys: KeySpace

  constructor(keys: KeySpace) {
    this.#keys = keys
  }

  entry = ({ tenant, key }: Omit<Place, 'tags'>): string => this.#keys.of(tenant, 'entry', key)
  fence = ({ tenant, key }: Omit<Place, 'tags'>): string => this.#keys.of(tenant, 'fence', key)

  /** Of the entries' keys in the slot of this tenant: what stands before the key. */
  entryPrefix = (tenant: string): string => this.#keys.of(tenant, 'entry', '')

  recent = (tenant: string): string => this.#keys.of(tenant, 'recent', tenant)

  /** The tenant's books, in the order in which the scripts take them. */
  books = (tenant: string): string[] => [
    this.recent(tenant),
    this.#keys.of(tenant, 'ledger', tenant),
    this.#keys.of(tenant, 'total', tenant),
  ]

  /** Global, tenant, each tag of the tenant's own and of everybody's; always in this order. */
  generations({ tenant, tags }: Place): string[] {
    if (tags.length > MAX_TAGS) throw new RangeError(`a place has at most ${MAX_TAGS} tags, this one ${tags.length}`)
    const keys = [this.#keys.of(tenant, 'generation'), this.#tenant(tenant)]
    for (const tag of tags) keys.push(this.#tag(tenant, tag), this.#keys.of(tenant, 'tag', short(tag)))
    return keys
  }

  /** What to delete for a purge. Keys of different slots stand in different groups. */
  purged(what: Purge): string[][] {
    if ('all' in what) return this.#keys.everyShard('generation').map((key) => [key])
    if ('key' in what) return this.#purgedKey(what)
    if ('tags' in what) return this.#purgedTags(what)
    return [[this.#tenant(what.tenant)]]
  }

  #purgedKey({ tenant, key }: { tenant?: string; key: string }): string[][] {
    if (tenant !== undefined) return [[this.entry({ tenant, key }), this.fence({ tenant, key })]]
    return ['entry', 'fence'].flatMap((kind) => this.#keys.everyShard(kind, key)).map((name) => [name])
  }

  #purgedTags({ tenant, tags }: { tenant?: string; tags: readonly string[] }): string[][] {
    if (tenant !== undefined) return [tags.map((tag) => this.#tag(tenant, tag))]
    return tags.flatMap((tag) => this.#keys.everyShard('tag', short(tag))).map((name) => [name])
  }

  #tenant(tenant: string): string {
    return this.#keys.of(tenant, 'generation', tenant)
  }

  #tag(tenant: string, tag: string): string {
    return this.#keys.of(tenant, 'generation', tenant, short(tag))
  }
}

const short = (tag: string): string => (tag.length > MAX_TAG_LENGTH ? sha256(tag) : tag)
