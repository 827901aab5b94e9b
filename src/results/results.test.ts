import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import { startRedis, type TestRedis } from '../../test/support/redis.ts'
import { ManualClock } from '../kernel/clock.manual.ts'
import { RedisStore } from '../kernel/redis/store.ts'
import { decoded } from './decoded.ts'
import { MemoryLedger } from './ledger.memory.ts'
import { RECORD_BYTES, ResultLost, Results, type ResultsOptions, type WriterFor } from './results.ts'
import { bulkContact, collect } from './spill.contract.ts'
import { FileSpill } from './spill.file.ts'
import { RedisSpill } from './spill.redis.ts'
import type { Spill } from './spill.ts'
import { decodeStored, encodeStored, type Stored } from './stored.ts'
import { ResultTooLarge } from './writer.ts'

const root = mkdtempSync(join(tmpdir(), 'sluice-results-'))
let server: TestRedis
let store: RedisStore
let redis: Redis

before(async () => {
  server = await startRedis()
  store = new RedisStore({ url: server.url, keyPrefix: 'sluice:', commandTimeoutMs: 2_000 })
  await store.firstContact(2_000)
  await bulkContact(store)
  redis = new Redis(server.url)
})

after(async () => {
  redis.disconnect()
  await store[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
  rmSync(root, { recursive: true })
})

const openSpill = (kind: 'file' | 'redis', dir: string): Spill =>
  kind === 'file' ? new FileSpill({ dir }) : new RedisSpill({ store })

function setup({
  kind = 'file' as 'file' | 'redis',
  ...changes
}: Partial<ResultsOptions> & { kind?: 'file' | 'redis' } = {}) {
  const dir = mkdtempSync(join(root, 'case-'))
  const clock = new ManualClock()
  const ledger = new MemoryLedger({ clock })
  const results = new Results({ spill: openSpill(kind, dir), ledger, clock, spillAboveBytes: 10_000, ...changes })
  const writer = (changes: Partial<WriterFor> = {}) =>
    results.writer({
      tenant: 'acme',
      id: 'job_1',
      fence: 1,
      status: 200,
      headers: ['x', 'content-type', 'content-type', 'text/csv'],
      ttlMs: 1_000,
      maxBytes: 1e9,
      ...changes,
    })
  const write = async (body: Buffer, changes: Partial<WriterFor> = {}): Promise<Stored> => {
    const opened = writer(changes)
    await opened.write(body)
    return opened.end()
  }
  const files = () => (existsSync(join(dir, 'results')) ? readdirSync(join(dir, 'results')) : [])
  const file = () => join(dir, 'results', files()[0]!)
  const spilled = async () => files().length + (await redis.keys('sluice:*result:*')).length
  return { results, clock, ledger, dir, writer, write, files, file, spilled }
}

/** Compresses well, badly, or not at all. */
const bodies = fc
  .record({ size: fc.oneof(fc.nat(3_000), fc.nat(500_000)), kind: fc.constantFrom('rows', 'hex', 'noise') })
  .map(({ size, kind }) => {
    if (kind === 'rows') return Buffer.alloc(size, '{"region":"north","amount":12.5},')
    return kind === 'noise' ? randomBytes(size) : Buffer.from(randomBytes(size >> 1).toString('hex'))
  })
const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 })

function cut(body: Buffer, at: number[]): Buffer[] {
  const edges = [0, ...at.map((part) => Math.floor(part * body.length)).sort((a, b) => a - b), body.length]
  return edges.slice(1).map((edge, index) => body.subarray(edges[index]!, edge))
}

for (const kind of ['file', 'redis'] as const) {
  describe(`results that spill to ${kind}`, () => {
    test('whatever the body and its chunks, what is read and decoded is what was written', async () => {
      const types = fc.constantFrom('application/json', 'application/zip')
      const above = fc.constantFrom(0, 1_000, 100_000, 10_000_000)
      await fc.assert(
        fc.asyncProperty(bodies, cuts, types, above, async (body, cuts, type, spillAboveBytes) => {
          const { results, writer } = setup({ kind, spillAboveBytes })
          const opened = writer({ headers: ['content-type', type] })
          for (const chunk of cut(body, cuts)) await opened.write(chunk)
          const stored = decodeStored(encodeStored(await opened.end()))!
          assert.equal(stored.tier, stored.bytes > spillAboveBytes ? kind : 'inline')
          const coded = (await collect(await results.read('acme', stored)))!
          assert.equal(coded.length, stored.bytes)
          assert.equal(stored.rawBytes, body.length)
          const whole = await collect(decoded(stored, (await results.read('acme', stored))!))
          assert.ok(whole!.equals(body))
          await results.drop('acme', 'job_1', stored)
          if (stored.tier !== 'inline') assert.equal(await results.read('acme', stored), null)
        }),
        { numRuns: 60 },
      )
    })

    test('whatever was written before an abort, or before one byte too many, nothing is left', async () => {
      await fc.assert(
        fc.asyncProperty(bodies, cuts, async (body, cuts) => {
          const { writer, spilled } = setup({ kind, spillAboveBytes: 1_000 })
          const aborted = writer()
          for (const chunk of cut(body, cuts)) await aborted.write(chunk)
          await aborted.abort()
          const tooLarge = writer({ maxBytes: body.length })
          for (const chunk of cut(body, cuts)) await tooLarge.write(chunk)
          await assert.rejects(tooLarge.write(Buffer.alloc(1)), ResultTooLarge)
          assert.equal(await spilled(), 0)
        }),
        { numRuns: 30 },
      )
    })

    test('another tenant reads and drops nothing', async () => {
      const { results, write } = setup({ kind })
      const stored = await write(randomBytes(20_000))
      assert.equal(await results.read('globex', stored), null)
      await results.drop('globex', 'job_1', stored)
      assert.notEqual(await results.read('acme', stored), null)
      await results.drop('acme', 'job_1', stored)
    })
  })
}

describe('results', () => {
  test('are there until their ttl has passed, whether inline or spilled, and swept then', async () => {
    const { results, write, clock, files } = setup()
    const both = [await write(Buffer.from('rows')), await write(randomBytes(20_000))]
    assert.deepEqual(
      both.map(({ tier }) => tier),
      ['inline', 'file'],
    )
    await clock.advance(999)
    assert.equal(await results.sweep(), 0)
    for (const stored of both) assert.notEqual(await results.read('acme', stored), null)
    await clock.advance(1)
    for (const stored of both) assert.equal(await results.read('acme', stored), null)
    assert.equal(await results.sweep(), 1)
    assert.deepEqual(files(), [])
  })

  test('the ttl counts from the end of the body', async () => {
    const { writer, clock } = setup()
    const opened = writer({ ttlMs: 1_000 })
    await opened.write(Buffer.from('rows'))
    await clock.advance(5_000)
    assert.equal((await opened.end()).expiresAt, clock.now() + 1_000)
  })

  test('the bound above which they spill may change while it runs', async () => {
    let aboveBytes = 100
    const { write } = setup({ spillAboveBytes: () => aboveBytes })
    assert.equal((await write(randomBytes(500))).tier, 'file')
    aboveBytes = 1_000
    assert.equal((await write(randomBytes(500))).tier, 'inline')
  })

  test('the content type is found among the headers, and not among their values', async () => {
    const { write } = setup()
    const body = Buffer.alloc(5_000, 'rows')
    assert.equal(
      (await write(body, { headers: ['x', 'content-type', 'content-type', 'image/png'] })).coding,
      'identity',
    )
    assert.equal((await write(body, { headers: ['x', 'content-type', 'image/png', 'y'] })).coding, 'zstd')
    assert.equal((await write(body, { headers: [] })).coding, 'zstd')
  })

  test('a stale worker’s body is another one than a newer one’s', async () => {
    const { results, write } = setup()
    const [stale, newer] = [await write(randomBytes(20_000)), await write(randomBytes(20_000), { fence: 2 })]
    await results.drop('acme', 'job_1', stale)
    assert.equal(await results.read('acme', stale), null)
    assert.equal((await collect(await results.read('acme', newer)))!.length, newer.bytes)
  })

  test('one that is not whole is a failure, never a shorter answer', async () => {
    const { results, write, file } = setup()
    const stored = await write(randomBytes(20_000))
    const reading = (await results.read('acme', stored))!
    truncateSync(file(), 19_999)
    await assert.rejects(collect(reading), ResultLost)
    const gone = (await results.read('acme', stored))!
    rmSync(file())
    await assert.rejects(collect(gone), ResultLost)
  })

  test('one of a spill that is no longer in use is gone, and dropping it is nothing', async () => {
    const { results, write } = setup()
    const stored: Stored = { ...(await write(randomBytes(20_000))), tier: 'redis', name: 'job_1-1-x' }
    assert.equal(await results.read('acme', stored), null)
    await results.drop('acme', 'job_1', stored)
  })

  test('a tenant over its bound loses its oldest, which the caller drops', async () => {
    const { results, write, files, ledger } = setup()
    const bound = 2 * (20_000 + RECORD_BYTES)
    const kept = new Map<string, Stored>()
    for (const id of ['job_1', 'job_2', 'job_3']) {
      const stored = await write(randomBytes(20_000), { id })
      kept.set(id, stored)
      for (const gone of await results.account('acme', id, stored, bound))
        await results.drop('acme', gone, kept.get(gone)!)
    }
    assert.equal(await results.read('acme', kept.get('job_1')!), null)
    assert.equal(files().length, 2)
    assert.equal(await ledger.total('acme'), bound)
  })

  test('what is dropped counts no longer', async () => {
    const { results, write, ledger } = setup()
    const stored = await write(Buffer.from('rows'))
    await results.account('acme', 'job_1', stored, 10_000)
    assert.equal(await ledger.total('acme'), 4 + RECORD_BYTES)
    await results.drop('acme', 'job_1', stored)
    assert.equal(await ledger.total('acme'), 0)
  })

  test('counts what it wrote where, and what it swept', async () => {
    const { results, write, clock } = setup()
    await write(Buffer.from('rows'))
    await write(randomBytes(20_000))
    await clock.advance(1_000)
    await results.sweep()
    assert.deepEqual(results.stats(), { inlineBytes: 4, spilledBytes: 20_000, swept: 1 })
  })

  test('an id that cannot be part of a path is a mistake of the caller', () => {
    const { writer } = setup()
    assert.throws(() => writer({ id: '../job' }), RangeError)
  })
})
