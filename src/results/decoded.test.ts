import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { decoded } from './decoded.ts'
import { collect } from './spill.contract.ts'

const body = Buffer.from(randomBytes(300_000).toString('hex'))

/** Remembers whether it was begun and whether it was let go. */
function source(coded: Buffer, failure?: Error) {
  const seen = { isBegun: false, isOver: false }
  async function* pieces(): AsyncGenerator<Buffer> {
    seen.isBegun = true
    try {
      for (let at = 0; at < coded.length; at += 50_000) yield coded.subarray(at, at + 50_000)
      if (failure) throw failure
    } finally {
      seen.isOver = true
    }
  }
  return { seen, pieces: pieces() }
}

for (const [coding, coded] of [
  ['identity', body],
  ['gzip', gzipSync(body)],
  ['zstd', zstdCompressSync(body)],
] as const) {
  test(`gives a body stored in ${coding} back whole`, async () => {
    assert.ok(body.equals((await collect(decoded({ coding }, source(coded).pieces)))!))
  })

  test(`begins nothing of a body in ${coding} that nobody reads, and lets go of one that is read in part`, async () => {
    const { seen, pieces } = source(coded)
    const reading = decoded({ coding }, pieces)
    assert.equal(seen.isBegun, false)
    for await (const _ of reading) break
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(seen, { isBegun: true, isOver: true })
  })

  test(`tells why a body in ${coding} ended early`, async () => {
    const failure = new Error('gone')
    await assert.rejects(collect(decoded({ coding }, source(coded, failure).pieces)), failure)
  })
}

test('a body cut short is a failure, never a shorter one', async () => {
  const coded = zstdCompressSync(body)
  await assert.rejects(collect(decoded({ coding: 'zstd' }, source(coded.subarray(0, -1)).pieces)))
})
