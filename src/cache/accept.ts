import { LRUCache } from 'lru-cache'
import type { Coding } from '../kernel/exchange.ts'

/** Which codings of ours a client takes. Shared and frozen: compare its fields, never change them. */
export interface Accepted {
  readonly zstd: boolean
  readonly gzip: boolean
  readonly identity: boolean
}

const IDENTITY_ONLY: Accepted = Object.freeze({ zstd: false, gzip: false, identity: true })

/** Real clients send a few dozen different headers; a client that invents them costs a parse each and no memory. */
const remembered = new LRUCache<string, Accepted>({ max: 256 })
const MAX_REMEMBERED_LENGTH = 128

/** Reads Accept-Encoding (RFC 9110 12.5.3). Without the header a client gets no coding, as everyone does it. */
export function acceptedCodings(header: string | undefined): Accepted {
  if (!header) return IDENTITY_ONLY
  const known = remembered.get(header)
  if (known) return known
  const accepted = parseAcceptEncoding(header)
  if (header.length <= MAX_REMEMBERED_LENGTH) remembered.set(header, accepted)
  return accepted
}

export function parseAcceptEncoding(header: string): Accepted {
  const named = new Map<string, boolean>()
  for (const part of header.split(',')) {
    const [name = '', ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase())
    if (name !== '') named.set(name === 'x-gzip' ? 'gzip' : name, isWanted(parameters))
  }
  const others = named.get('*')
  return Object.freeze({
    zstd: named.get('zstd') ?? others ?? false,
    gzip: named.get('gzip') ?? others ?? false,
    identity: named.get('identity') ?? others ?? true, // the one coding that must be named to be refused
  })
}

/** A weight that is no number is read as a refusal: no coding is always safe. */
function isWanted(parameters: string[]): boolean {
  const weight = parameters.find((parameter) => /^q\s*=/.test(parameter))
  if (weight === undefined) return true
  const text = weight.slice(weight.indexOf('=') + 1).trim()
  return /^(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(text) && Number(text) > 0
}

/** What a body is stored in when this client's request fills it: zstd is smaller and quicker, gzip is taken by everyone. */
export const fillCoding = (accepted: Accepted): Coding => (accepted.zstd ? 'zstd' : 'gzip')

/** What a client is sent of a body stored in `stored`. One that takes nothing gets identity (RFC 9110 lets us). */
export function chooseCoding(stored: Coding, accepted: Accepted): Coding {
  if (accepted[stored]) return stored
  if (accepted.identity) return 'identity'
  if (accepted.gzip) return 'gzip'
  return accepted.zstd ? 'zstd' : 'identity'
}
