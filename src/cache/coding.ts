import { promisify } from 'node:util'
import * as zlib from 'node:zlib'
import type { Coding } from '../kernel/exchange.ts'
import { acceptedCodings, fillCoding } from './accept.ts'
import { compact } from './entry.ts'

export { type Accepted, acceptedCodings } from './accept.ts'

/** Below this, work in place: zstd takes 0.2 ms for 128 KiB, a hop to the thread pool costs more (facts/caching.md). */
const SYNC_BYTES = 128 * 1024
/** Below this a coding saves less than its header costs. */
const MIN_BYTES = 1024

export interface Encoded {
  coding: Coding
  body: Buffer
}

export interface EncodeFor {
  /** Of the client whose request fills. */
  acceptEncoding?: string | undefined
  contentType?: string | undefined
}

/** Puts a body into the one coding it is stored and mostly served in. */
export async function encodeBody(raw: Buffer, { acceptEncoding, contentType }: EncodeFor): Promise<Encoded> {
  const coding = fillCoding(acceptedCodings(acceptEncoding))
  if (raw.length < MIN_BYTES || isCompressed(contentType)) return { coding: 'identity', body: compact(raw) }
  const body = await compress(raw, coding)
  return body.length < raw.length ? { coding, body: compact(body) } : { coding: 'identity', body: compact(raw) }
}

const GZIP = { level: 1 } // 0.7 ms for 135 KB; level 6 takes 1.5 ms to save 13 % (facts/caching.md)
const ZSTD = { params: { [zlib.constants.ZSTD_c_compressionLevel]: 1 } }
const gzip = promisify<zlib.InputType, zlib.ZlibOptions, Buffer>(zlib.gzip)
const zstd = promisify<zlib.InputType, zlib.ZstdOptions, Buffer>(zlib.zstdCompress)

/** In place when small, on the thread pool when not. */
export function compress(raw: Buffer, coding: Coding): Buffer | Promise<Buffer> {
  if (coding === 'identity') return raw
  const isSmall = raw.length <= SYNC_BYTES
  if (coding === 'zstd') return isSmall ? zlib.zstdCompressSync(raw, ZSTD) : zstd(raw, ZSTD)
  return isSmall ? zlib.gzipSync(raw, GZIP) : gzip(raw, GZIP)
}

const TYPES = [
  /^image\/(?!svg|bmp|x-ms-bmp)/,
  /^(audio|video)\//,
  /^font\/woff/,
  /^application\/(zip|gzip|x-gzip|x-7z-compressed|x-rar-compressed|vnd\.rar|x-bzip2?|x-xz|zstd|pdf)\b/,
  /^application\/vnd\.(openxmlformats-officedocument|oasis\.opendocument|apache\.parquet)/,
]

/** Types whose bytes are compressed already: a second coding costs time and saves nothing. */
export function isCompressed(contentType: string | undefined): boolean {
  const type = contentType?.trim().toLowerCase()
  return type !== undefined && TYPES.some((known) => known.test(type))
}

type Bounded = { maxOutputLength: number }
type Decode = (body: Buffer, options: Bounded) => Promise<Buffer>

const gunzip: Decode = promisify<Buffer, Bounded, Buffer>(zlib.gunzip)
const unzstd: Decode = promisify<Buffer, Bounded, Buffer>(zlib.zstdDecompress)
const unbrotli: Decode = promisify<Buffer, Bounded, Buffer>(zlib.brotliDecompress)
const inflate: Decode = promisify<Buffer, Bounded, Buffer>(zlib.inflate)
const inflateRaw: Decode = promisify<Buffer, Bounded, Buffer>(zlib.inflateRaw)

/** A stored body in no coding. In place when small, on the thread pool when not. */
export function decodeBody(coding: Coding, body: Buffer, rawBytes: number): Buffer | Promise<Buffer> {
  if (coding === 'identity') return body
  const options = { maxOutputLength: Math.max(1, rawBytes) }
  const isSmall = rawBytes <= SYNC_BYTES
  if (coding === 'zstd') return isSmall ? zlib.zstdDecompressSync(body, options) : unzstd(body, options)
  return isSmall ? zlib.gunzipSync(body, options) : gunzip(body, options)
}

/** An upstream's body is in a coding we do not know, does not decode, or is larger than it may be. */
export class Undecodable extends Error {
  override readonly name = 'Undecodable'
  readonly why: 'unknown' | 'corrupt' | 'large'

  constructor(why: Undecodable['why'], coding: string, cause?: unknown) {
    super(`content-encoding ${JSON.stringify(coding.slice(0, 64))}: ${why}`, { cause })
    this.why = why
  }
}

/** More than these on one body is no upstream's honest work. */
const MAX_CODINGS = 3

/**
 * Takes an upstream's Content-Encoding off, the last applied first. The output of every step is bounded, so a bomb costs
 * no more than `maxBytes`. A body that was cut short is corrupt, never a shorter answer. Rejects with Undecodable.
 */
export async function decodeUpstream(contentEncoding: string, body: Buffer, maxBytes: number): Promise<Buffer> {
  const codings = contentEncoding
    .split(',')
    .map((coding) => coding.trim().toLowerCase())
    .filter((coding) => coding !== '' && coding !== 'identity')
  if (codings.length > MAX_CODINGS) throw new Undecodable('unknown', contentEncoding)
  let decoded = body
  for (const coding of codings.reverse()) decoded = await decodeOnce(coding, decoded, maxBytes)
  if (decoded.length > maxBytes) throw new Undecodable('large', contentEncoding)
  return decoded
}

async function decodeOnce(coding: string, body: Buffer, maxBytes: number): Promise<Buffer> {
  const decode = decoderFor(coding, body)
  if (!decode) throw new Undecodable('unknown', coding)
  try {
    return await decode(body, { maxOutputLength: Math.max(1, maxBytes) })
  } catch (cause) {
    const isLarge = (cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
    throw new Undecodable(isLarge ? 'large' : 'corrupt', coding, cause)
  }
}

function decoderFor(coding: string, body: Buffer): Decode | undefined {
  if (coding === 'gzip' || coding === 'x-gzip') return gunzip
  if (coding === 'zstd') return unzstd
  if (coding === 'br') return unbrotli
  if (coding === 'deflate') return isZlib(body) ? inflate : inflateRaw
  return undefined
}

/** `deflate` means zlib's frame (RFC 9110 8.4.1.2), but some servers send it bare. The frame's first two bytes tell (RFC 1950). */
const isZlib = (body: Buffer): boolean =>
  body.length >= 2 && (body[0]! & 0x0f) === 8 && ((body[0]! << 8) | body[1]!) % 31 === 0
