import { crc32 } from 'node:zlib'
import type { Coding } from '../kernel/exchange.ts'
import { compact, type Entry, type EntryFound, PASS, type PassFound } from './entry.ts'

/**
 * An entry or a marker as one value, so that one read gives all of it:
 *
 *   0  magic and version, 4 bytes
 *   4  CRC-32 of its key and everything from byte 16, uint32: another key's frame is as damaged as half a frame
 *   8  rearmedAt, float64: outside the checksum, because scripts/rearm.lua overwrites it in place
 *  16  storedAt, float64: tells that script whether it has the right frame before it
 *  24  length of the metadata, uint32
 *  28  metadata, JSON: its generations, then the fields in the order of `EntryMeta`
 *   …  body
 *
 * Whoever reads a frame checks all of it: a store may hand out a damaged value or another key's, and that is a miss.
 */
export const MAGIC = Buffer.from('SLC1')
const CRC_AT = 4
const REARMED_AT = 8
const CHECKED_FROM = 16
const STORED_AT = 16
const META_LENGTH_AT = 24
const META_AT = 28

type Times = [ttlMs: number, staleMs: number, errorMs: number, computeMs: number]
type EntryMeta = [status: number, coding: Coding, etag: string, rawBytes: number, headers: string[], times: Times]
type Meta = [generation: string, entry: EntryMeta | null]

export interface Framed {
  found: EntryFound | PassFound
  generation: string
}

export function encodeEntry(key: string, generation: string, entry: Entry): Buffer {
  const { ttlMs, staleMs, errorMs, computeMs } = entry
  const times: Times = [ttlMs, staleMs, errorMs, computeMs]
  const meta: EntryMeta = [entry.status, entry.coding, entry.etag, entry.rawBytes, entry.headers, times]
  return frame(key, [generation, meta], entry.body, entry)
}

export const encodePass = (key: string, generation: string): Buffer =>
  frame(key, [generation, null], Buffer.alloc(0), { storedAt: 0, rearmedAt: 0 })

/** An instant as the frame has it. */
export function instantBytes(at: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(at)
  return bytes
}

type Instants = Pick<Entry, 'storedAt' | 'rearmedAt'>

function frame(key: string, meta: Meta, body: Buffer, { storedAt, rearmedAt }: Instants): Buffer {
  const text = Buffer.from(JSON.stringify(meta))
  const framed = Buffer.allocUnsafe(META_AT + text.length + body.length)
  MAGIC.copy(framed)
  framed.writeDoubleBE(rearmedAt, REARMED_AT)
  framed.writeDoubleBE(storedAt, STORED_AT)
  framed.writeUInt32BE(text.length, META_LENGTH_AT)
  text.copy(framed, META_AT)
  body.copy(framed, META_AT + text.length)
  framed.writeUInt32BE(checksum(key, framed), CRC_AT)
  return framed
}

const checksum = (key: string, framed: Buffer): number => crc32(framed.subarray(CHECKED_FROM), crc32(key))

/** Null for anything but a whole frame of this key. */
export function decodeFrame(framed: Buffer, key: string): Framed | null {
  if (framed.length < META_AT || framed.compare(MAGIC, 0, MAGIC.length, 0, MAGIC.length) !== 0) return null
  if (checksum(key, framed) !== framed.readUInt32BE(CRC_AT)) return null
  const bodyAt = META_AT + framed.readUInt32BE(META_LENGTH_AT)
  // Under a good checksum the metadata is what this version wrote.
  const [generation, meta] = JSON.parse(framed.toString('utf8', META_AT, bodyAt)) as Meta
  if (meta === null) return { found: PASS, generation }
  return { found: { kind: 'entry', entry: entryOf(meta, framed, bodyAt) }, generation }
}

function entryOf(meta: EntryMeta, framed: Buffer, bodyAt: number): Entry {
  const [status, coding, etag, rawBytes, headers, [ttlMs, staleMs, errorMs, computeMs]] = meta
  const body = compact(framed.subarray(bodyAt))
  const [storedAt, rearmedAt] = [framed.readDoubleBE(STORED_AT), framed.readDoubleBE(REARMED_AT)]
  return { status, headers, coding, body, rawBytes, etag, storedAt, ttlMs, staleMs, errorMs, computeMs, rearmedAt }
}
