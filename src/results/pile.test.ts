import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Pile } from './pile.ts'

test('hands out all that was added, in its order, never more than its bound at once', () => {
  const chunks = fc.array(fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)))
  fc.assert(
    fc.property(chunks, fc.integer({ min: 1, max: 30 }), (chunks, maxBytes) => {
      const pile = new Pile(maxBytes)
      const taken: Buffer[] = []
      for (const chunk of chunks) {
        for (let rest: Buffer = chunk; rest.length > 0; ) {
          if (pile.isFull) taken.push(Buffer.from(pile.take()))
          rest = pile.add(rest)
        }
      }
      taken.push(Buffer.from(pile.take()))
      assert.deepEqual(Buffer.concat(taken), Buffer.concat(chunks))
      for (const part of taken.slice(0, -1)) assert.equal(part.length, maxBytes)
    }),
  )
})

test('copies, so that a chunk may be overwritten', () => {
  const pile = new Pile(10)
  const chunk = Buffer.from('rows')
  pile.add(chunk)
  chunk.fill('x')
  assert.equal(pile.take().toString(), 'rows')
})

test('takes no more memory than it needs', () => {
  const pile = new Pile(1024 * 1024)
  assert.equal(pile.take().buffer.byteLength, 0)
  pile.add(Buffer.alloc(10))
  assert.equal(pile.take().buffer.byteLength, 4096)
  pile.add(Buffer.alloc(5_000))
  assert.equal(pile.take().buffer.byteLength, 8192)
  for (let n = 0; n < 10; n++) pile.add(Buffer.alloc(200_000))
  assert.equal(pile.take().buffer.byteLength, 1024 * 1024)
})

test('a pile without room takes nothing', () => {
  const pile = new Pile(0)
  assert.equal(pile.isFull, true)
  assert.equal(pile.add(Buffer.from('rows')).toString(), 'rows')
})
