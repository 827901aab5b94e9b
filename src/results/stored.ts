import { crc32 } from 'node:zlib'
import type { Coding, FlatHeaders } from '../kernel/exchange.ts'
import type { SpillTier } from './spill.ts'

interface Head {
  status: number
  headers: FlatHeaders
  /** What the stored bytes are in. */
  coding: Coding
  /** Length of the body in no coding. */
  rawBytes: number
  /** Length of the body as it is stored. */
  bytes: number
  /** Wall time from which it is gone, ms since the epoch. */
  expiresAt: number
}

/** What a job's record keeps of its result: all of it when small, else where the body lies. */
export type Stored = Head & ({ tier: 'inline'; body: Buffer } | { tier: SpillTier; name: string })

/**
 * A stored result as one value, opaque to whoever keeps it:
 *
 *   0  magic and version, 4 bytes
 *   4  CRC-32 of everything from byte 8, uint32
 *   8  length of the metadata, uint32
 *  12  metadata, JSON: the fields in the order of `Meta`
 *   …  body, when inline
 */
const MAGIC = Buffer.from('SLR1')
const CRC_AT = 4
const META_LENGTH_AT = 8
const META_AT = 12

type Meta = [
  tier: Stored['tier'],
  status: number,
  coding: Coding,
  rawBytes: number,
  bytes: number,
  expiresAt: number,
  name: string,
  headers: FlatHeaders,
]

const NO_BODY = Buffer.alloc(0)

export function encodeStored(stored: Stored): Buffer {
  const { tier, status, coding, rawBytes, bytes, expiresAt, headers } = stored
  const [name, body] = stored.tier === 'inline' ? ['', stored.body] : [stored.name, NO_BODY]
  const meta: Meta = [tier, status, coding, rawBytes, bytes, expiresAt, name, headers]
  const text = Buffer.from(JSON.stringify(meta))
  const framed = Buffer.concat([Buffer.alloc(META_AT), text, body])
  MAGIC.copy(framed)
  framed.writeUInt32BE(text.length, META_LENGTH_AT)
  framed.writeUInt32BE(checksum(framed), CRC_AT)
  return framed
}

const checksum = (framed: Buffer): number => crc32(framed.subarray(META_LENGTH_AT))

/** Null for anything but a whole frame of this version. An inline body is a slice of the frame. */
export function decodeStored(framed: Buffer): Stored | null {
  if (framed.length < META_AT || framed.compare(MAGIC, 0, MAGIC.length, 0, MAGIC.length) !== 0) return null
  if (checksum(framed) !== framed.readUInt32BE(CRC_AT)) return null
  const bodyAt = META_AT + framed.readUInt32BE(META_LENGTH_AT)
  // Under a good checksum the metadata is what this version wrote.
  const meta = JSON.parse(framed.toString('utf8', META_AT, bodyAt)) as Meta
  const [tier, status, coding, rawBytes, bytes, expiresAt, name, headers] = meta
  const head = { status, headers, coding, rawBytes, bytes, expiresAt }
  return tier === 'inline' ? { ...head, tier, body: framed.subarray(bodyAt) } : { ...head, tier, name }
}
