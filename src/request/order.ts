import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import type { Caller, FlatHeaders } from '../kernel/exchange.ts'
import { canonicalName } from '../upstream/headers.ts'
import type { Query } from './query.ts'

/** What a worker needs to run a submission later, cut loose from the request and without any secret in the clear. */
export interface Order {
  /** As the submission was keyed; null where its route keeps no answers. */
  question: { key: string; tags: readonly string[]; bypass: string | null } | null
  caller: Caller
  acceptEncoding: string | undefined
  method: string
  target: string
  /** What goes upstream, without credentials. */
  headers: FlatHeaders
  /** Headers that prove the caller, sealed; null where the upstream gets none of his. */
  sealed: Buffer | null
  body: Buffer | null
}

/** The form of this version; another's is refused, and its job fails with words that say so. */
const VERSION = 1
const MIN_COMPRESSED_BYTES = 512
/** A request body is bounded by server.bodyLimit, at most 1 GiB; what unpacks to more is none of ours. */
const MAX_BYTES = 1024 ** 3 + 1024 ** 2

export function encodeOrder({ body, sealed, ...rest }: Order): Buffer {
  const head = Buffer.from(
    JSON.stringify({ ...rest, sealed: sealed?.toString('base64') ?? null, hasBody: body !== null }),
  )
  const length = Buffer.allocUnsafe(4)
  length.writeUInt32BE(head.length)
  const plain = Buffer.concat([length, head, body ?? Buffer.alloc(0)])
  const packs = plain.length >= MIN_COMPRESSED_BYTES
  return Buffer.concat([Buffer.from([VERSION, packs ? 1 : 0]), packs ? zstdCompressSync(plain) : plain])
}

/** Null for what this version did not write. */
export function decodeOrder(payload: Buffer): Order | null {
  if (payload.length < 6 || payload[0] !== VERSION) return null
  try {
    const packed = payload.subarray(2)
    const plain = payload[1] === 1 ? zstdDecompressSync(packed, { maxOutputLength: MAX_BYTES }) : packed
    const end = 4 + plain.readUInt32BE(0)
    const { sealed, hasBody, ...rest } = JSON.parse(plain.toString('utf8', 4, end))
    return {
      ...rest,
      sealed: sealed === null ? null : Buffer.from(sealed, 'base64'),
      body: hasBody ? plain.subarray(end) : null,
    }
  } catch {
    return null
  }
}

/** The headers that may be stored, and those that prove the caller or the gateway and may not. */
export function parted({ ask, rules }: Pick<Query, 'ask' | 'rules'>): { plain: FlatHeaders; secret: FlatHeaders } {
  const plain: FlatHeaders = []
  const secret: FlatHeaders = []
  for (let i = 0; i < ask.headers.length; i += 2) {
    const [name, value] = [ask.headers[i]!, ask.headers[i + 1]!]
    const isSecret = name.toLowerCase() === 'cookie' || rules.isCredential(canonicalName(name))
    ;(isSecret ? secret : plain).push(name, value)
  }
  return { plain, secret }
}
