import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as zlib from 'node:zlib'
import { MemoryBus } from '../kernel/bus.ts'
import { ManualClock } from '../kernel/clock.manual.ts'
import { acceptedCodings } from './accept.ts'
import { Cache } from './cache.ts'
import { sampleEntry, samplePlace } from './entry.sample.ts'
import { MemoryFar } from './far.memory.ts'

const setup = () => {
  const clock = new ManualClock()
  const bus = new MemoryBus()
  const far = new MemoryFar({ clock, bus, maxBytes: 1_000_000 })
  return new Cache({ near: { maxBytes: 1_000_000 }, far, bus, clock })
}

describe('the body for a client', () => {
  const raw = Buffer.from(JSON.stringify(Array.from({ length: 200 }, (_, id) => ({ id }))))
  const zstd = { coding: 'zstd', body: zlib.zstdCompressSync(raw), rawBytes: raw.length } as const

  test('is the entry itself where the client takes its coding', async () => {
    const cache = setup()
    const what = sampleEntry(zstd)
    assert.equal(cache.bodyFor(what, acceptedCodings('gzip, zstd')), what)
  })

  test('is decoded once for those who take no coding, and kept and counted with the entry', async () => {
    const cache = setup()
    const [place, what] = [samplePlace(), sampleEntry(zstd)]
    cache.admit(place, what)
    const before = cache.stats().nearBytes
    const first = await cache.bodyFor(what, acceptedCodings(undefined))
    assert.deepEqual(first, { coding: 'identity', body: raw, etag: `${what.etag.slice(0, -1)}.identity"` })
    assert.equal(cache.bodyFor(what, acceptedCodings('identity')), first)
    assert.equal(cache.stats().nearBytes, before + raw.length)
  })

  test('is another coding for those who refuse to have none', async () => {
    const cache = setup()
    const { coding, body } = await cache.bodyFor(sampleEntry(zstd), acceptedCodings('gzip, identity;q=0'))
    assert.equal(coding, 'gzip')
    assert.deepEqual(zlib.gunzipSync(body), raw)
  })

  test('of a large one is made beside the loop, once for all who ask', async () => {
    const cache = setup()
    const large = Buffer.alloc(300_000, 'abc')
    const what = sampleEntry({ coding: 'gzip', body: zlib.gzipSync(large), rawBytes: large.length })
    const [a, b] = [cache.bodyFor(what, acceptedCodings('')), cache.bodyFor(what, acceptedCodings(''))]
    assert.ok(a instanceof Promise && a === b)
    assert.deepEqual((await a).body, large)
  })
})
