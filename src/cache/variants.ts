import type { Coding } from '../kernel/exchange.ts'
import { type Accepted, chooseCoding } from './accept.ts'
import { compress, decodeBody } from './coding.ts'
import { variantEtag } from './conditional.ts'
import { compact, type Entry } from './entry.ts'
import type { Body, Near } from './near.ts'

/**
 * Bodies in another coding than they are stored in, for the few clients that do not take that one: made once, kept with
 * their entry in near and counted there. Made in place when small, else once on the thread pool for all who ask.
 */
export class Variants {
  readonly #near: Near
  /** By ETag and coding; bounded by the requests that run. */
  readonly #making = new Map<string, Promise<Body>>()

  constructor(near: Near) {
    this.#near = near
  }

  of(entry: Entry, accepted: Accepted): Body | Promise<Body> {
    const coding = chooseCoding(entry.coding, accepted)
    if (coding === entry.coding) return entry
    const name = `${entry.etag} ${coding}`
    return this.#near.variantOf(entry, coding) ?? this.#making.get(name) ?? this.#make(entry, coding, name)
  }

  #make(entry: Entry, coding: Coding, name: string): Body | Promise<Body> {
    const body = recode(entry, coding)
    if (!(body instanceof Promise)) return this.#keep(entry, coding, body)
    const making = body.then((made) => this.#keep(entry, coding, made)).finally(() => this.#making.delete(name))
    this.#making.set(name, making)
    return making
  }

  #keep(entry: Entry, coding: Coding, body: Buffer): Body {
    const variant = { coding, body: compact(body), etag: variantEtag(entry.etag, coding) }
    this.#near.keepVariant(entry, variant)
    return variant
  }
}

function recode(entry: Entry, coding: Coding): Buffer | Promise<Buffer> {
  const raw = decodeBody(entry.coding, entry.body, entry.rawBytes)
  return raw instanceof Promise ? raw.then((whole) => compress(whole, coding)) : compress(raw, coding)
}
