import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MemoryBus } from '../kernel/bus.ts'
import { ManualClock } from '../kernel/clock.manual.ts'
import { StoreUnavailable } from '../kernel/errors.ts'
import { encodeNews, type Purge } from '../kernel/news.ts'
import { Cache } from './cache.ts'
import { sampleEntry, samplePlace } from './entry.sample.ts'
import type { Place } from './entry.ts'
import { HeldFar } from './far.held.ts'
import { MemoryFar } from './far.memory.ts'

const ROOMY = { maxTenantBytes: 1e9 }

const setup = () => {
  const clock = new ManualClock()
  const bus = new MemoryBus()
  const far = new HeldFar({ clock, bus, maxBytes: 10_000_000 })
  const events: string[] = []
  const open = () =>
    new Cache({ near: { maxBytes: 1_000_000 }, far, bus, clock, onEvent: (event) => events.push(event) })
  const cache = open()
  const entry = (changes = {}) => sampleEntry({ storedAt: clock.now(), ...changes })
  const store = async (place: Place, by = cache, what = entry(), token = crypto.randomUUID()) => {
    const { ticket } = await by.begin(place, token)
    return by.fill(place, what, ticket, ROOMY)
  }
  return { clock, bus, far, cache, events, open, entry, store }
}

describe('cache', () => {
  test('an answer that was filled is near at once, in this process only', async () => {
    const { cache, open, entry, store } = setup()
    const other = open()
    const [place, what] = [samplePlace(), entry()]
    assert.equal(cache.peek(place.key), null)
    assert.equal(await store(place, cache, what), 'stored')
    assert.deepEqual(cache.peek(place.key), { kind: 'entry', entry: what })
    assert.equal(other.peek(place.key), null)
    assert.equal((await other.read(place))?.kind, 'entry')
    assert.equal(other.peek(place.key)?.kind, 'entry')
  })

  test('all who read the same at the same time cost one read of the far tier', async () => {
    const { cache, far } = setup()
    const place = samplePlace()
    const found = await Promise.all(Array.from({ length: 50 }, () => cache.read(place)))
    assert.deepEqual([far.reads, found.length], [1, 50])
    await cache.read(place)
    assert.equal(far.reads, 2)
  })

  test('a leader who finds an answer when it begins has it near', async () => {
    const { cache, open, store } = setup()
    const place = samplePlace()
    await store(place, open())
    assert.equal((await cache.begin(place, 'token')).found?.kind, 'entry')
    assert.equal(cache.peek(place.key)?.kind, 'entry')
  })

  test('what the far tier refused is not near either', async () => {
    const { cache, entry } = setup()
    const place = samplePlace()
    const { ticket } = await cache.begin(place, 'old')
    await cache.begin(place, 'newer')
    assert.equal(await cache.fill(place, entry(), ticket, ROOMY), 'lost')
    assert.equal(cache.peek(place.key), null)
  })

  test('a marker is near where it was left', async () => {
    const { cache } = setup()
    const place = samplePlace()
    const { ticket } = await cache.begin(place, 'token')
    assert.equal(await cache.fillPass(place, ticket), 'stored')
    assert.deepEqual(cache.peek(place.key), { kind: 'pass' })
  })

  test('another process’s fill replaces what is near here', async () => {
    const { cache, open, store, entry } = setup()
    const place = samplePlace()
    await store(place, cache, entry({ computeMs: 1 }))
    await store(place, open(), entry({ computeMs: 2 }))
    assert.equal(cache.peek(place.key), null)
    const found = await cache.read(place)
    assert.equal(found?.kind === 'entry' && found.entry.computeMs, 2)
  })

  for (const what of [
    { all: true },
    { tenant: 'acme' },
    { tenant: 'acme', tags: ['a'] },
    { tenant: 'acme', key: 'k' },
  ] as Purge[]) {
    const name = JSON.stringify(what)
    const place = samplePlace({ tenant: 'acme', key: 'k', tags: ['a'] })

    test(`a purge of ${name} empties both tiers of every process`, async () => {
      const { cache, open, store } = setup()
      const other = open()
      await store(place)
      await other.read(place)
      await cache.purge(what)
      for (const each of [cache, other]) {
        assert.equal(each.peek(place.key), null)
        assert.equal(await each.read(place), null)
      }
    })

    test(`a read that started before a purge of ${name} is not kept, nor shared with who comes after`, async () => {
      const { cache, far, bus, open, store } = setup()
      await store(place, open())
      const release = far.hold()
      const before = cache.read(place)
      await MemoryFar.prototype.purge.call(far, what) // by another process, whose news overtake our read
      bus.publish(encodeNews({ kind: 'purged', what }))
      const after = cache.read(place)
      release()
      assert.equal((await before)?.kind, 'entry')
      assert.equal(await after, null)
      assert.equal(cache.peek(place.key), null)
    })

    test(`a fill that was stored before a purge of ${name}, but heard of it first, is not near`, async () => {
      const { cache, far, bus, entry } = setup()
      const { ticket } = await cache.begin(place, 'token')
      const release = far.hold()
      const filling = cache.fill(place, entry(), ticket, ROOMY)
      await MemoryFar.prototype.purge.call(far, what)
      bus.publish(encodeNews({ kind: 'purged', what }))
      release()
      assert.equal(await filling, 'stored')
      assert.equal(cache.peek(place.key), null)
      assert.equal(await cache.read(place), null)
    })
  }

  test('a read that another process’s fill overtakes is handed on but not kept', async () => {
    const { cache, far, bus, open, store } = setup()
    const place = samplePlace()
    await store(place, open())
    const release = far.hold()
    const reading = cache.read(place)
    bus.publish(`filled ${place.key} another`)
    release()
    assert.equal((await reading)?.kind, 'entry')
    assert.equal(cache.peek(place.key), null)
  })

  test('news of other places leave a read alone', async () => {
    const { cache, far, bus, open, store } = setup()
    const place = samplePlace()
    await store(place, open())
    const release = far.hold()
    const reading = cache.read(place)
    bus.publish('filled other token')
    bus.publish(encodeNews({ kind: 'purged', what: { tenant: 'other' } }))
    bus.publish('landed other open')
    bus.publish('something a later version says')
    release()
    await reading
    assert.equal(cache.peek(place.key)?.kind, 'entry')
  })

  test('a gap in the news empties near, and what is under way is not kept', async () => {
    const { cache, bus, far, events, store, open } = setup()
    const [held, reading] = [samplePlace(), samplePlace()]
    await store(held)
    await store(reading, open())
    const release = far.hold()
    const read = cache.read(reading)
    bus.gap()
    release()
    await read
    assert.deepEqual([cache.peek(held.key), cache.peek(reading.key)], [null, null])
    assert.equal(cache.stats().gaps, 1)
    assert.ok(events.includes('gap'))
  })

  test('a purge whose news are lost is noticed after 5 s', async () => {
    const { cache, far, clock, store } = setup()
    const place = samplePlace()
    await store(place)
    await MemoryFar.prototype.purge.call(far, { all: true })
    await clock.advance(4_999)
    assert.equal(cache.peek(place.key)?.kind, 'entry')
    await clock.advance(1)
    assert.equal(cache.peek(place.key), null)
    assert.equal(await cache.read(place), null)
  })

  test('a purge that cannot reach the far tier says so, and this process forgets all the same', async () => {
    const { cache, far, store } = setup()
    const place = samplePlace()
    await store(place)
    far.isAway = true
    await assert.rejects(cache.purge({ all: true }), StoreUnavailable)
    assert.equal(cache.peek(place.key), null)
  })

  test('without a far tier answers are near only, also large ones, and old ones can be had by name', async () => {
    const { cache, far, clock, entry } = setup()
    far.isAway = true
    const place = samplePlace()
    await assert.rejects(cache.read(place), StoreUnavailable)
    await assert.rejects(cache.begin(place, 'token'), StoreUnavailable)
    cache.admit(place, entry({ body: Buffer.alloc(70_000) }))
    assert.equal(cache.peek(place.key)?.kind, 'entry')
    await clock.advance(6_000)
    assert.equal(cache.peek(place.key), null)
    assert.equal(cache.peekUnconfirmed(place.key)?.kind, 'entry')
  })

  test('a failed refresh is noted on the entry in both tiers, and a far tier that is away is counted', async () => {
    const { cache, far, clock, open, store, events } = setup()
    const place = samplePlace()
    await store(place)
    await clock.advance(10)
    const found = await cache.read(place)
    assert.ok(found?.kind === 'entry')
    cache.rearm(place, { ...found.entry })
    const near = cache.peek(place.key)
    assert.equal(near?.kind === 'entry' && near.entry.rearmedAt, clock.now())
    const elsewhere = await open().read(place)
    assert.equal(elsewhere?.kind === 'entry' && elsewhere.entry.rearmedAt, clock.now())
    far.isAway = true
    cache.rearm(place, found.entry)
    await clock.advance(0)
    assert.deepEqual(events, ['rearm-failed'])
  })

  test('tells which tiers hold a place', async () => {
    const { cache, clock, store } = setup()
    const place = samplePlace()
    assert.deepEqual((await cache.inspect(place)).near, null)
    await store(place)
    await clock.advance(1_000)
    const { near, far, generation } = await cache.inspect(place)
    assert.deepEqual([near?.kind, near?.leftMs, near?.usableMs], ['entry', 89_000, 4_000])
    assert.deepEqual([far.kind, far.leftMs], ['entry', 89_000])
    assert.equal(generation, far.generation)
  })

  test('a closed cache hears nothing more, and closing twice closes once', async () => {
    const { cache, bus, events } = setup()
    await cache.close()
    await cache.close()
    bus.gap()
    assert.deepEqual(events, [])
  })
})
