import { promisify } from 'node:util'
import * as zlib from 'node:zlib'
import type { Coding } from './exchange.ts'

/** Bodies in the codings that they are stored and served in. What upstreams send is in cache/coding.ts. */

/** Up to this, work in place: zstd takes 0.2 ms for 128 KiB, a hop to the thread pool costs more (facts/caching.md). */
export const SYNC_BYTES = 128 * 1024
/** Below this a coding saves less than its header costs. */
const MIN_BYTES = 1024

export interface Encoded {
  coding: Coding
  body: Buffer
}

/** A body in this coding, or as it is where that saves nothing. */
export async function encode(raw: Buffer, coding: Coding, contentType: string | undefined): Promise<Encoded> {
  if (raw.length < MIN_BYTES || isCompressed(contentType)) return { coding: 'identity', body: raw }
  const body = await compress(raw, coding)
  return body.length < raw.length ? { coding, body } : { coding: 'identity', body: raw }
}

const GZIP = { level: 1 } // 0.7 ms for 135 KB; level 6 takes 1.5 ms to save 13 % (facts/caching.md)
export const ZSTD = { params: { [zlib.constants.ZSTD_c_compressionLevel]: 1 } }
const gzip = promisify<zlib.InputType, zlib.ZlibOptions, Buffer>(zlib.gzip)
const zstd = promisify<zlib.InputType, zlib.ZstdOptions, Buffer>(zlib.zstdCompress)

/** In place when small, on the thread pool when not. */
export function compress(raw: Buffer, coding: Coding): Buffer | Promise<Buffer> {
  if (coding === 'identity') return raw
  const isSmall = raw.length <= SYNC_BYTES
  if (coding === 'zstd') return isSmall ? zlib.zstdCompressSync(raw, ZSTD) : zstd(raw, ZSTD)
  return isSmall ? zlib.gzipSync(raw, GZIP) : gzip(raw, GZIP)
}

type Bounded = { maxOutputLength: number }
export type Decode = (body: Buffer, options: Bounded) => Promise<Buffer>

export const gunzip: Decode = promisify<Buffer, Bounded, Buffer>(zlib.gunzip)
export const unzstd: Decode = promisify<Buffer, Bounded, Buffer>(zlib.zstdDecompress)

/** A stored body in no coding. In place when small, on the thread pool when not. */
export function decodeBody(coding: Coding, body: Buffer, rawBytes: number): Buffer | Promise<Buffer> {
  if (coding === 'identity') return body
  const options = { maxOutputLength: Math.max(1, rawBytes) }
  const isSmall = rawBytes <= SYNC_BYTES
  if (coding === 'zstd') return isSmall ? zlib.zstdDecompressSync(body, options) : unzstd(body, options)
  return isSmall ? zlib.gunzipSync(body, options) : gunzip(body, options)
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
