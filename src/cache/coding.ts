import { promisify } from 'node:util'
import * as zlib from 'node:zlib'
import { type Decode, type Encoded, encode, gunzip, unzstd } from '../kernel/coding.ts'
import { acceptedCodings, fillCoding } from './accept.ts'
import { compact } from './entry.ts'

export { compress, decodeBody, isCompressed } from '../kernel/coding.ts'
export { type Accepted, acceptedCodings } from './accept.ts'

export interface EncodeFor {
  /** Of the client whose request fills. */
  acceptEncoding?: string | undefined
  contentType?: string | undefined
}

/** Puts a body into the one coding it is stored and mostly served in. */
export async function encodeBody(raw: Buffer, { acceptEncoding, contentType }: EncodeFor): Promise<Encoded> {
  const { coding, body } = await encode(raw, fillCoding(acceptedCodings(acceptEncoding)), contentType)
  return { coding, body: compact(body) }
}

const unbrotli: Decode = promisify(zlib.brotliDecompress)
const inflate: Decode = promisify(zlib.inflate)
const inflateRaw: Decode = promisify(zlib.inflateRaw)

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
