import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { until } from '../../test/support/until.ts'
import type { RedisStore } from '../kernel/redis/store.ts'
import { type Spill, spillName } from './spill.ts'

export interface OpenedSpill {
  spill: Spill
  /** How many bodies are there, half-written ones included, whoever they belong to. */
  count: () => Promise<number>
}

export async function collect(pieces: AsyncIterable<Buffer> | null): Promise<Buffer | null> {
  const collected: Buffer[] = []
  for await (const piece of pieces ?? []) collected.push(piece)
  return pieces && Buffer.concat(collected)
}

/** The store's first contact is with its other connection: this one may still be on its way. */
export const bulkContact = (store: RedisStore): Promise<void> =>
  until(() => {
    const asked = store.runBulk('test', (redis) => redis.ping())
    return asked.then(
      () => true,
      () => false,
    )
  }, 'contact for bodies')

/** What every spill owes its callers. Each adapter's test file runs this and nothing weaker. */
export function spillContract(name: string, open: () => OpenedSpill): void {
  const life = { nowAt: Date.now(), ttlMs: 60_000 }

  const setup = () => {
    const { spill, count } = open()
    const tenant = `tenant/${randomUUID()}`
    const name = spillName('job_1', 1)
    const store = async (...chunks: Buffer[]) => {
      const sink = await spill.create(tenant, name)
      for (const chunk of chunks) await sink.write(chunk)
      await sink.end(life)
    }
    const read = async () => collect(await spill.read(tenant, name))
    return { spill, count, tenant, name, store, read }
  }

  describe(`${name} spill`, () => {
    test('gives back what was written, however it came', async () => {
      const chunks = fc.array(fc.nat(300_000), { maxLength: 6 }).map((sizes) => sizes.map((size) => randomBytes(size)))
      await fc.assert(
        fc.asyncProperty(chunks, async (chunks) => {
          const { store, read } = setup()
          await store(...chunks)
          assert.ok(Buffer.concat(chunks).equals((await read())!))
        }),
        { numRuns: 40 },
      )
    })

    test('a chunk may be overwritten once it was taken', async () => {
      const { spill, tenant, name, read } = setup()
      const sink = await spill.create(tenant, name)
      const chunk = Buffer.alloc(300_000)
      for (const value of [1, 2, 3]) await sink.write(chunk.fill(value))
      await sink.end(life)
      const expected = [1, 2, 3].map((value) => Buffer.alloc(300_000, value))
      assert.ok(Buffer.concat(expected).equals((await read())!))
    })

    test('knows nothing of what was never written', async () => {
      const { read } = setup()
      assert.equal(await read(), null)
    })

    test('what is dropped is gone, and dropping it again is nothing', async () => {
      const { spill, tenant, name, store, read, count } = setup()
      await store(Buffer.from('rows'))
      await spill.drop(tenant, name)
      await spill.drop(tenant, name)
      assert.equal(await read(), null)
      assert.equal(await count(), 0)
    })

    test('an aborted body leaves nothing behind, however far it came', async () => {
      for (const size of [0, 10, 600_000]) {
        const { spill, tenant, name, read, count } = setup()
        const sink = await spill.create(tenant, name)
        await sink.write(randomBytes(size))
        await sink.abort()
        await sink.abort()
        assert.equal(await read(), null)
        assert.equal(await count(), 0)
      }
    })

    test('another tenant finds and drops nothing under the same name', async () => {
      const { spill, name, store, read } = setup()
      await store(Buffer.from('rows'))
      await spill.drop('other', name)
      assert.equal(await spill.read('other', name), null)
      assert.equal((await read())?.toString(), 'rows')
    })

    for (const bad of ['', '.', '..', '../rows', 'a/b', 'a\\b', 'a:b', 'a.part', 'a\0', 'ä', 'x'.repeat(161)]) {
      test(`no body can be called ${JSON.stringify(bad.slice(0, 8))}`, async () => {
        const { spill, tenant, count } = setup()
        await assert.rejects(spill.create(tenant, bad), RangeError)
        assert.equal(await spill.read(tenant, bad), null)
        await spill.drop(tenant, bad)
        assert.equal(await count(), 0)
      })
    }

    test('a reader may leave early, and several may read at once', async () => {
      const { spill, tenant, name, store, read } = setup()
      await store(randomBytes(700_000))
      for await (const piece of (await spill.read(tenant, name))!) {
        assert.ok(piece.length > 0 && piece.length <= 256 * 1024)
        break
      }
      const [one, two] = await Promise.all([read(), read()])
      assert.ok(one!.equals(two!) && one!.length === 700_000)
    })

    test('a sweep takes nothing that still lives', async () => {
      const { spill, store, read } = setup()
      await store(Buffer.from('rows'))
      assert.equal(await spill.sweep(life.nowAt + life.ttlMs - 1), 0)
      assert.equal((await read())?.toString(), 'rows')
    })
  })
}
