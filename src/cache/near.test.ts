import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Purge } from '../kernel/news.ts'
import { sampleEntry, samplePlace } from './entry.sample.ts'
import { entryBytes, OVERHEAD_BYTES, PASS, PASS_MS } from './entry.ts'
import { Near, type NearOptions } from './near.ts'

const T0 = 1_700_000_000_000
const found = (changes = {}) => ({ kind: 'entry', entry: sampleEntry({ storedAt: T0, ...changes }) }) as const
const large = () => found({ body: Buffer.alloc(70_000) })
const setup = (options: Partial<NearOptions> = {}) => new Near({ maxBytes: 1_000_000, ...options })

describe('near tier', () => {
  test('gives back the very object it was given, without making another', () => {
    const near = setup()
    const [place, what] = [samplePlace(), found()]
    near.put(place, what, '', T0)
    assert.equal(near.peek(place.key, T0), what)
  })

  test('answers for 5 s after far confirmed it, and again when it is confirmed again', () => {
    const near = setup()
    const [place, what] = [samplePlace(), found()]
    near.put(place, what, '', T0)
    assert.equal(near.peek(place.key, T0 + 4_999), what)
    assert.equal(near.peek(place.key, T0 + 5_000), null)
    assert.equal(near.peekUnconfirmed(place.key, T0 + 5_000), what)
    near.put(place, what, '', T0 + 6_000)
    assert.equal(near.peek(place.key, T0 + 10_999), what)
  })

  test('never answers past the entry’s end', () => {
    const near = setup()
    const place = samplePlace()
    near.put(place, found({ ttlMs: 1_000, staleMs: 100, errorMs: 200 }), '', T0)
    assert.ok(near.peek(place.key, T0 + 1_199))
    assert.equal(near.peek(place.key, T0 + 1_200), null)
    assert.equal(near.peekUnconfirmed(place.key, T0 + 1_200), null)
  })

  test('holds markers, for no longer than they stand', () => {
    const near = setup({ maxAgeMs: PASS_MS * 2 })
    const place = samplePlace()
    near.put(place, PASS, '', T0)
    assert.equal(near.peek(place.key, T0 + PASS_MS - 1), PASS)
    assert.equal(near.peek(place.key, T0 + PASS_MS), null)
    assert.equal(near.bytes, OVERHEAD_BYTES)
  })

  test('stays within its bytes by letting the least recently used go', () => {
    const each = entryBytes(sampleEntry({ body: Buffer.alloc(1_000) }))
    const near = setup({ maxBytes: 5 * each })
    const places = Array.from({ length: 6 }, () => samplePlace())
    for (const place of places.slice(0, 5)) near.put(place, found({ body: Buffer.alloc(1_000) }), '', T0)
    near.peek(places[0]!.key, T0)
    near.put(places[5]!, found({ body: Buffer.alloc(1_000) }), '', T0)
    assert.deepEqual(
      places.map(({ key }) => near.peek(key, T0) !== null),
      [true, false, true, true, true, true],
    )
    assert.equal(near.bytes, 5 * each)
    assert.equal(near.stats.evicted, 1)
  })

  test('takes nothing that would fill more than a quarter of it, and can be off', () => {
    for (const near of [setup({ maxBytes: 4_000 }), setup({ maxBytes: 0 })]) {
      near.put(samplePlace(), found({ body: Buffer.alloc(2_000) }), '', T0)
      assert.deepEqual([near.entries, near.stats.refusedOversize], [0, 1])
    }
  })

  test('takes a large body only when it comes a second time within a while', () => {
    const near = setup()
    const place = samplePlace()
    const isHeld = () => near.peekUnconfirmed(place.key, T0) !== null
    near.put(place, large(), '', T0)
    assert.equal(isHeld(), false)
    near.put(place, large(), '', T0 + 60_000) // too late: counts as the first
    assert.equal(isHeld(), false)
    near.put(place, large(), '', T0 + 119_999)
    assert.equal(isHeld(), true)
    assert.equal(near.stats.refusedLarge, 2)
  })

  test('takes a large body at once where there is no far tier to read it from again', () => {
    const near = setup()
    const place = samplePlace()
    near.hold(place, large(), '', T0)
    assert.ok(near.peek(place.key, T0))
  })

  test('remembers only so many large ones that came once', () => {
    const near = setup()
    const place = samplePlace()
    near.put(place, large(), '', T0)
    for (let i = 0; i < 4_096; i++) near.put(samplePlace({ key: `${i}` }), large(), '', T0)
    near.put(place, large(), '', T0)
    assert.equal(near.entries, 0)
  })

  test('drops an entry that somebody else filled anew, and keeps its own', () => {
    const near = setup()
    const place = samplePlace()
    near.put(place, found(), 'mine', T0)
    near.dropFilled(place.key, 'mine')
    near.dropFilled('other', 'theirs')
    assert.ok(near.peek(place.key, T0))
    near.dropFilled(place.key, 'theirs')
    assert.equal(near.peek(place.key, T0), null)
  })

  const acme = samplePlace({ key: 'acme', tenant: 'acme', tags: ['a'] })
  const acmeB = samplePlace({ key: 'acmeB', tenant: 'acme', tags: ['b', 'c'] })
  const globex = samplePlace({ key: 'globex', tenant: 'globex', tags: ['a'] })
  for (const [what, left] of [
    [{ all: true }, ''],
    [{ tenant: 'acme' }, 'globex'],
    [{ tenant: 'acme', tags: ['a'] }, 'acmeB globex'],
    [{ tenant: 'acme', tags: ['x', 'c'] }, 'acme globex'],
    [{ tenant: 'acme', tags: [] }, 'acme acmeB globex'],
    [{ tenant: 'acme', key: 'acme' }, 'acmeB globex'],
    [{ tenant: 'initech' }, 'acme acmeB globex'],
    [null as unknown as Purge, ''],
    ['nonsense' as unknown as Purge, ''],
    [{ tenant: 'acme', tags: 7 } as unknown as Purge, 'globex'],
  ] as const) {
    test(`a purge of ${JSON.stringify(what)} leaves: ${left || 'nothing'}`, () => {
      const near = setup()
      for (const place of [acme, acmeB, globex]) near.put(place, found(), '', T0)
      near.sweep(what)
      const held = [acme, acmeB, globex].filter(({ key }) => near.peek(key, T0)).map(({ key }) => key)
      assert.equal(held.join(' '), left)
      assert.equal(near.stats.swept, 3 - held.length)
    })
  }

  test('keeps another coding of a body with its entry, and counts its bytes', () => {
    const near = setup()
    const [place, what] = [samplePlace(), found({ coding: 'gzip' })]
    const variant = { coding: 'identity', body: Buffer.alloc(3_000), etag: '"x"' } as const
    near.keepVariant(what.entry, variant)
    assert.equal(near.variantOf(what.entry, 'identity'), null) // not held, so nothing is kept with it
    near.put(place, what, '', T0)
    const before = near.bytes
    near.keepVariant(what.entry, variant)
    assert.equal(near.variantOf(what.entry, 'identity'), variant)
    assert.equal(near.variantOf(what.entry, 'zstd'), null)
    assert.equal(near.bytes, before + 3_000)
    const confirmed = found({ coding: 'gzip' })
    near.put(place, confirmed, '', T0 + 1)
    assert.equal(near.variantOf(confirmed.entry, 'identity'), variant)
    near.put(place, found({ body: Buffer.from('other') }), '', T0 + 1)
    near.clear()
    assert.equal(near.bytes, 0)
  })

  test('an entry is not lost for a coding of it that is too large', () => {
    const near = setup({ maxBytes: 10_000 })
    const [place, what] = [samplePlace(), found()]
    near.put(place, what, '', T0)
    near.keepVariant(what.entry, { coding: 'identity', body: Buffer.alloc(5_000), etag: '"x"' })
    assert.equal(near.peek(place.key, T0), what)
    assert.equal(near.variantOf(what.entry, 'identity'), null)
  })
})
