import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { sampleEntry } from './entry.sample.ts'
import type { Entry } from './entry.ts'
import { decodeFrame, encodeEntry, encodePass } from './frame.ts'

const time = fc.double({ min: 0, max: 1e13, noNaN: true, noDefaultInfinity: true }).map((at) => at + 0)
const fields = {
  status: fc.constant(200),
  headers: fc.array(fc.string({ unit: 'binary' }), { maxLength: 6 }),
  coding: fc.constantFrom('identity', 'gzip', 'zstd'),
  body: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  rawBytes: fc.nat(),
  etag: fc.string(),
  storedAt: time,
  ttlMs: time,
  staleMs: time,
  errorMs: time,
  computeMs: time,
  rearmedAt: time,
} as const
const entries: fc.Arbitrary<Entry> = fc.record(fields, { noNullPrototype: true })

const decoded = (framed: Buffer, key = 'key') => {
  const found = decodeFrame(framed, key)?.found
  return found?.kind === 'entry' ? found.entry : found
}

describe('a frame', () => {
  test('gives back every entry as it was', () => {
    fc.assert(
      fc.property(entries, fc.string(), fc.string(), (entry, key, generation) => {
        const back = decodeFrame(encodeEntry(key, generation, entry), key)
        assert.deepEqual(back, { found: { kind: 'entry', entry }, generation })
      }),
    )
  })

  test('of which one byte is wrong, or that was cut or grew, is none', () => {
    const framed = encodeEntry('key', 'g h', sampleEntry())
    for (let at = 0; at < framed.length; at++) {
      if (at >= 8 && at < 16) continue // rearmedAt, which is overwritten in place
      const broken = Buffer.from(framed)
      broken[at]! ^= 0x41
      assert.equal(decodeFrame(broken, 'key'), null, `byte ${at}`)
    }
    for (let length = 0; length < framed.length; length++)
      assert.equal(decodeFrame(framed.subarray(0, length), 'key'), null)
    assert.equal(decodeFrame(Buffer.concat([framed, Buffer.from('x')]), 'key'), null)
  })

  test('that is garbage is none', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => decodeFrame(Buffer.from(bytes), 'key') === null),
    )
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 100 }),
        (bytes) => decodeFrame(Buffer.concat([Buffer.from('SLC1'), bytes]), 'key') === null,
      ),
    )
  })

  test('of another key is none', () => {
    assert.equal(decodeFrame(encodeEntry('other', 'g', sampleEntry()), 'key'), null)
  })

  test('can be a marker', () => {
    assert.deepEqual(decodeFrame(encodePass('key', 'g h'), 'key'), { found: { kind: 'pass' }, generation: 'g h' })
  })

  test('does not keep what it was cut from alive', () => {
    const socket = Buffer.alloc(64 * 1024)
    const framed = encodeEntry('key', 'g', sampleEntry())
    framed.copy(socket, 100)
    const entry = decoded(socket.subarray(100, 100 + framed.length)) as Entry
    assert.equal(entry.body.buffer.byteLength, entry.body.length)
  })
})
