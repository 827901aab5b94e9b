import assert from 'node:assert/strict'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { collect, spillContract } from './spill.contract.ts'
import { FileSpill } from './spill.file.ts'
import { PART_MS, spillName } from './spill.ts'

const root = mkdtempSync(join(tmpdir(), 'sluice-spill-'))
after(() => rmSync(root, { recursive: true }))

/** A directory of its own, not yet made. */
const open = () => {
  const base = join(mkdtempSync(join(root, 'case-')), 'data')
  const dir = join(base, 'results')
  const files = () => (existsSync(dir) ? readdirSync(dir) : [])
  return { spill: new FileSpill({ dir: base }), base, dir, files, count: async () => files().length }
}

spillContract('file', open)

describe('file spill', () => {
  const NOW_AT = 1_700_000_000_000

  const setup = () => {
    const { spill, base, dir, files } = open()
    const store = async (ttlMs = 1_000, body = Buffer.from('rows')) => {
      const name = spillName('job_1', 1)
      const sink = await spill.create('acme', name)
      await sink.write(body)
      await sink.end({ nowAt: NOW_AT, ttlMs })
      return name
    }
    const read = async (name: string) => (await collect(await spill.read('acme', name)))?.toString() ?? null
    return { spill, base, dir, files, store, read }
  }

  const openFiles = (dir: string) =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(dir)
      } catch {
        return false // the descriptor of this very listing
      }
    }).length

  test('belongs to its user alone, and says when it ends', async () => {
    const { base, dir, files, store } = setup()
    await store(1_234)
    assert.equal(statSync(base).mode & 0o777, 0o700)
    assert.equal(statSync(dir).mode & 0o777, 0o700)
    const file = statSync(join(dir, files()[0]!))
    assert.equal(file.mode & 0o777, 0o600)
    assert.equal(Math.round(file.mtimeMs), NOW_AT + 1_234)
  })

  test('is under another name until it is whole', async () => {
    const { spill, files, read } = setup()
    const name = spillName('job_1', 1)
    const sink = await spill.create('acme', name)
    await sink.write(Buffer.from('ro'))
    assert.equal(await read(name), null)
    assert.match(files()[0]!, /\.part$/)
    await sink.write(Buffer.from('ws'))
    await sink.end({ nowAt: NOW_AT, ttlMs: 1_000 })
    assert.equal(await read(name), 'rows')
    assert.equal(files().length, 1)
    assert.doesNotMatch(files()[0]!, /\.part$/)
  })

  test('is never written over', async () => {
    const { spill } = setup()
    const name = spillName('job_1', 1)
    const sink = await spill.create('acme', name)
    await assert.rejects(spill.create('acme', name), { code: 'EEXIST' })
    await sink.abort()
  })

  test('goes with the first sweep at its instant, and not before', async () => {
    const { spill, store, read } = setup()
    const [first, second] = [await store(1_000), await store(1_001)]
    assert.equal(await spill.sweep(NOW_AT + 999), 0)
    assert.equal(await spill.sweep(NOW_AT + 1_000), 1)
    assert.equal(await read(first), null)
    assert.equal(await read(second), 'rows')
    assert.equal(await spill.sweep(NOW_AT + 1_001), 1)
  })

  test('what a dead process left half-written goes after an hour', async () => {
    const { spill, dir, files } = setup()
    const sink = await spill.create('acme', spillName('job_1', 1))
    const leftAt = Math.floor(NOW_AT / 1_000)
    utimesSync(join(dir, files()[0]!), leftAt, leftAt)
    assert.equal(await spill.sweep(NOW_AT + PART_MS - 1), 0)
    assert.equal(await spill.sweep(NOW_AT + PART_MS), 1)
    assert.deepEqual(files(), [])
    await sink.abort()
  })

  test('what is not its own is not touched', async () => {
    const { spill, dir, files, store } = setup()
    await store()
    const strangers = ['README.md', '.part', 'jobs.sqlite', `${'x'.repeat(22)}.a.b`]
    for (const name of strangers) writeFileSync(join(dir, name), '')
    assert.equal(await spill.sweep(Number.MAX_SAFE_INTEGER), 1)
    assert.deepEqual(files().sort(), strangers.sort())
  })

  test('one sweep removes about a thousand, the next goes on', async () => {
    const { spill, dir, files, store } = setup()
    await store()
    for (let n = 0; n < 1_500; n++) {
      const path = join(dir, `${'x'.repeat(22)}.job_${n}`)
      writeFileSync(path, '')
      utimesSync(path, 1, 1)
    }
    const swept = await spill.sweep(NOW_AT)
    assert.ok(swept >= 1_000 && swept < 1_032, `${swept}`)
    assert.equal(swept + (await spill.sweep(NOW_AT)), 1_500)
    assert.equal(files().length, 1)
  })

  test('processes that sweep at once do not trip over each other, nor count a file twice', async () => {
    const { base, store } = setup()
    for (let n = 0; n < 100; n++) await store()
    const sweeps = [0, 1, 2].map(() => new FileSpill({ dir: base }).sweep(NOW_AT + 1_000))
    const swept = await Promise.all(sweeps)
    assert.equal(swept[0]! + swept[1]! + swept[2]!, 100)
  })

  test('where nothing was ever written there is nothing to sweep', async () => {
    const { spill, dir } = setup()
    assert.equal(await spill.sweep(NOW_AT), 0)
    assert.equal(existsSync(dir), false)
  })

  test('a reader who has begun reads to the end, though it is dropped meanwhile', async () => {
    const { spill, store } = setup()
    const name = await store(1_000, Buffer.alloc(300_000, 'x'))
    let bytes = 0
    for await (const piece of (await spill.read('acme', name))!) {
      if (bytes === 0) await spill.drop('acme', name)
      bytes += piece.length
    }
    assert.equal(bytes, 300_000)
  })

  test('keeps no file open, whether it is read in part, to the end, not at all, or aborted', async () => {
    const { spill, dir, store, read } = setup()
    const name = await store(1_000, Buffer.alloc(300_000))
    await spill.read('acme', name)
    await read(name)
    for await (const _ of (await spill.read('acme', name))!) break
    const sink = await spill.create('acme', spillName('job_1', 2))
    assert.equal(openFiles(dir), 1)
    await sink.abort()
    assert.equal(openFiles(dir), 0)
  })
})
