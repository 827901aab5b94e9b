import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeStored, encodeStored, type Stored } from './stored.ts'

const inline: Stored = {
  status: 200,
  headers: ['content-type', 'application/json', 'x-note', 'Grüße'],
  coding: 'zstd',
  rawBytes: 23_000,
  bytes: 4,
  expiresAt: 1_700_000_000_123,
  tier: 'inline',
  body: Buffer.from([0, 1, 2, 255]),
}

const count = fc.nat({ max: Number.MAX_SAFE_INTEGER })
const head = {
  status: fc.integer({ min: 100, max: 599 }),
  headers: fc.array(fc.tuple(fc.string(), fc.string())).map((pairs) => pairs.flat()),
  coding: fc.constantFrom('identity' as const, 'gzip' as const, 'zstd' as const),
  rawBytes: count,
  bytes: count,
  expiresAt: count,
}
const bodies = fc.uint8Array({ maxLength: 2_000 }).map((bytes) => Buffer.from(bytes))
const plain = { noNullPrototype: true }
const results: fc.Arbitrary<Stored> = fc.oneof(
  fc.record({ ...head, tier: fc.constant('inline' as const), body: bodies }, plain),
  fc.record({ ...head, tier: fc.constantFrom('file' as const, 'redis' as const), name: fc.string() }, plain),
)

test('what was encoded is decoded again, whatever it is', () => {
  fc.assert(fc.property(results, (stored) => assert.deepEqual(decodeStored(encodeStored(stored)), stored)))
})

test('a changed byte anywhere is garbage', () => {
  fc.assert(
    fc.property(results, fc.nat(), fc.integer({ min: 1, max: 255 }), (stored, where, flip) => {
      const framed = encodeStored(stored)
      framed[where % framed.length]! ^= flip
      assert.equal(decodeStored(framed), null)
    }),
  )
})

test('half a frame, more than one, and another thing altogether are garbage', () => {
  const framed = encodeStored(inline)
  for (const length of framed.keys()) assert.equal(decodeStored(framed.subarray(0, length)), null)
  assert.equal(decodeStored(Buffer.concat([framed, Buffer.alloc(1)])), null)
  fc.assert(fc.property(bodies, (garbage) => assert.equal(decodeStored(garbage), null)))
})

test('costs little beside the body', () => {
  assert.ok(encodeStored({ ...inline, headers: [] }).length < 80)
})
