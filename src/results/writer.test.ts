import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { zstdDecompressSync } from 'node:zlib'
import { ManualClock } from '../kernel/clock.manual.ts'
import { Shelf } from './shelf.ts'
import { RiggedSpill } from './spill.rigged.ts'
import { ResultTooLarge, ResultWriter } from './writer.ts'

const rows = (bytes: number) =>
  Buffer.from(Array.from({ length: Math.ceil(bytes / 16) }, (_, id) => `{"id":${`${id}`.padStart(9)}},`).join(''))

interface Changes {
  contentType?: string
  maxBytes?: number
  spillAboveBytes?: number
}

const setup = ({ contentType = 'application/json', maxBytes = 1e9, spillAboveBytes = 100_000 }: Changes = {}) => {
  const clock = new ManualClock()
  const spill = new RiggedSpill()
  const shelf = new Shelf({ spill, tenant: 'acme', name: 'job_1-1-x', spillAboveBytes })
  const head = { status: 201, headers: ['content-type', contentType], contentType }
  const writer = new ResultWriter({ head, maxBytes, ttlMs: 60_000, clock, shelf })
  const bodyOf = (stored: Awaited<ReturnType<typeof writer.end>>) =>
    stored.tier === 'inline' ? stored.body : spill.bodies.get(stored.name)!
  return { clock, spill, writer, bodyOf }
}

describe('a result writer', () => {
  test('keeps a small body with its record, in zstd, with all that its answer needs', async () => {
    const { clock, writer, spill } = setup()
    const body = rows(23_000)
    await writer.write(body)
    const { body: coded, ...stored } = (await writer.end()) as { body: Buffer }
    assert.deepEqual(stored, {
      status: 201,
      headers: ['content-type', 'application/json'],
      coding: 'zstd',
      rawBytes: body.length,
      bytes: coded.length,
      expiresAt: clock.now() + 60_000,
      tier: 'inline',
    })
    assert.ok(coded.length < body.length / 3)
    assert.deepEqual(zstdDecompressSync(coded), body)
    assert.equal(spill.created, 0)
  })

  for (const [what, body, contentType] of [
    ['a tiny body', rows(1_000).subarray(0, 1_023), 'application/json'],
    ['no body at all', Buffer.alloc(0), 'application/json'],
    ['a small zip', rows(10_000), 'application/zip'],
    ['a large zip', rows(1_000_000), 'application/zip'],
    ['small noise', randomBytes(10_000), 'text/csv'],
  ] as const) {
    test(`leaves ${what} as it is`, async () => {
      const { writer, bodyOf } = setup({ contentType })
      await writer.write(body)
      const stored = await writer.end()
      assert.equal(stored.coding, 'identity')
      assert.equal(stored.bytes, body.length)
      assert.ok(bodyOf(stored).equals(body))
    })
  }

  test('codes a large body as it comes, and spills it once it is too large for the record', async () => {
    const { writer, spill, bodyOf } = setup()
    const body = Buffer.from(randomBytes(500_000).toString('hex'))
    for (let at = 0; at < body.length; at += 10_000) await writer.write(body.subarray(at, at + 10_000))
    assert.equal(spill.created, 1)
    const stored = await writer.end()
    assert.equal(stored.tier, 'file')
    assert.equal(stored.coding, 'zstd')
    assert.equal(stored.bytes, bodyOf(stored).length)
    assert.ok(zstdDecompressSync(bodyOf(stored)).equals(body))
  })

  test('spills at the first byte over the bound and not before', async () => {
    for (const [bytes, tier] of [
      [500, 'inline'],
      [501, 'file'],
    ] as const) {
      const { writer } = setup({ spillAboveBytes: 500 })
      await writer.write(randomBytes(bytes))
      assert.equal((await writer.end()).tier, tier)
    }
  })

  test('notices the first byte too many, whatever it compresses to, and leaves nothing', async () => {
    for (const size of [1, 1_000, 128 * 1024, 128 * 1024 + 1, 1_000_000]) {
      const { writer, spill } = setup({ maxBytes: size, spillAboveBytes: 10 })
      await writer.write(Buffer.alloc(size))
      const isTooLarge = (error: unknown) => error instanceof ResultTooLarge && error.maxBytes === size
      await assert.rejects(writer.write(Buffer.alloc(1)), isTooLarge)
      assert.equal(spill.left, 0)
      await assert.rejects(writer.end(), isTooLarge)
      await writer.abort()
    }
  })

  test('takes a body of exactly its bound', async () => {
    const { writer } = setup({ maxBytes: 1_000_000 })
    await writer.write(Buffer.alloc(1_000_000))
    assert.equal((await writer.end()).rawBytes, 1_000_000)
  })

  test('an aborted one leaves nothing, however far it came, and takes nothing more', async () => {
    for (const size of [0, 100, 200_000, 2_000_000]) {
      const { writer, spill } = setup({ spillAboveBytes: 1_000 })
      await writer.write(randomBytes(size))
      await writer.abort()
      await writer.abort()
      assert.equal(spill.left, 0)
      await assert.rejects(writer.write(Buffer.alloc(1)), /aborted/)
      await assert.rejects(writer.end(), /aborted/)
    }
  })

  test('is aborted while it waits for its spill: nothing stays, and the write ends', async () => {
    for (const step of ['create', 'write'] as const) {
      const { writer, spill } = setup({ spillAboveBytes: 1_000 })
      const arrived = spill.hold(step)
      const writing = writer.write(randomBytes(1_000_000))
      await arrived
      const aborting = writer.abort()
      spill.letGo()
      await Promise.all([writing, aborting])
      assert.equal(spill.left, 0)
    }
  })

  test('to abort one that has ended changes nothing', async () => {
    const { writer, bodyOf } = setup({ spillAboveBytes: 1_000 })
    const body = randomBytes(10_000)
    await writer.write(body)
    const stored = await writer.end()
    await writer.abort()
    assert.ok(bodyOf(stored).equals(body))
    await assert.rejects(writer.write(body), /ended/)
    await assert.rejects(writer.end(), /ended/)
    assert.ok(bodyOf(stored).equals(body))
  })

  for (const step of ['create', 'write', 'end'] as const) {
    test(`a spill that fails at ${step} fails the result, and leaves nothing`, async () => {
      const { writer, spill } = setup({ spillAboveBytes: 1_000 })
      spill.fails = step
      const failure = { message: `${step} failed` }
      await assert.rejects(async () => {
        for (let n = 0; n < 10; n++) await writer.write(randomBytes(100_000))
        await writer.end()
      }, failure)
      assert.equal(spill.left, 0)
      await assert.rejects(writer.write(Buffer.alloc(1)), failure)
    })
  }

  test('waits for its spill instead of gathering what it cannot take', async () => {
    const { writer, spill } = setup({ spillAboveBytes: 1_000 })
    const arrived = spill.hold('write')
    let isTaken = false
    const writing = writer.write(randomBytes(5_000_000)).then(() => (isTaken = true))
    await arrived
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(isTaken, false)
    assert.ok(spill.offeredBytes < 300_000, `${spill.offeredBytes}`)
    spill.letGo()
    await writing
  })

  test('writes that nobody waited for keep their order', async () => {
    const { writer, bodyOf } = setup({ spillAboveBytes: 1_000 })
    const chunks = Array.from({ length: 20 }, () => randomBytes(50_000))
    for (const chunk of chunks) void writer.write(chunk)
    assert.ok(zstdDecompressSync(bodyOf(await writer.end())).equals(Buffer.concat(chunks)))
  })

  test('memory stays bounded, however large the body', async () => {
    const { writer } = setup({ spillAboveBytes: 1_000_000 })
    const chunk = Buffer.alloc(64 * 1024, 'rows ')
    const before = process.memoryUsage().arrayBuffers
    for (let n = 0; n < 3_200; n++) await writer.write(chunk) // 200 MiB, which become some KiB
    const grownBytes = process.memoryUsage().arrayBuffers - before
    assert.ok(grownBytes < 20_000_000, `${grownBytes}`)
    assert.equal((await writer.end()).rawBytes, 3_200 * chunk.length)
  })
})
