import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MemoryBus } from '../kernel/bus.ts'
import { ManualClock } from '../kernel/clock.manual.ts'
import { sampleEntry, samplePlace } from './entry.sample.ts'
import { PASS_MS, type Place } from './entry.ts'
import { farContract } from './far.contract.ts'
import { MemoryFar } from './far.memory.ts'

const setup = (maxBytes = 10 * 1024 * 1024) => {
  const clock = new ManualClock()
  const bus = new MemoryBus()
  const far = new MemoryFar({ clock, bus, maxBytes, fenceMs: 60_000 })
  const store = async (place: Place, body = Buffer.alloc(1_000), maxTenantBytes = Number.MAX_SAFE_INTEGER) => {
    const { ticket } = await far.begin(place, 'token')
    return far.fill(place, sampleEntry({ storedAt: clock.now(), body }), ticket, { maxTenantBytes })
  }
  return { far, bus, clock, store, settle: async () => {} }
}

farContract('memory', setup)

describe('memory far tier', () => {
  test('holds an entry exactly to its end', async () => {
    const { far, clock, store } = setup()
    const place = samplePlace()
    await store(place)
    await clock.advance(89_999)
    assert.equal((await far.read(place))?.kind, 'entry')
    await clock.advance(1)
    assert.equal(await far.read(place), null)
    assert.equal(far.stats().bytes, 0)
  })

  test('holds a marker for two minutes', async () => {
    const { far, clock } = setup()
    const place = samplePlace()
    await far.fillPass(place, (await far.begin(place, 'token')).ticket)
    await clock.advance(PASS_MS - 1)
    assert.equal((await far.read(place))?.kind, 'pass')
    await clock.advance(1)
    assert.equal(await far.read(place), null)
  })

  test('a fence ends by itself', async () => {
    const { far, clock } = setup()
    const place = samplePlace()
    const { ticket } = await far.begin(place, 'token')
    await clock.advance(60_000)
    assert.equal(await far.fill(place, sampleEntry(), ticket, { maxTenantBytes: 1e9 }), 'lost')
  })

  test('hands out the very entry it was given, so that its body is in memory once', async () => {
    const { far } = setup()
    const place = samplePlace()
    const entry = sampleEntry()
    await far.fill(place, entry, (await far.begin(place, 'token')).ticket, { maxTenantBytes: 1e9 })
    const found = await far.read(place)
    assert.ok(found?.kind === 'entry' && found.entry === entry)
  })

  test('stays in its bound over all tenants, and counts what it evicts', async () => {
    const { far, store } = setup(20_000)
    for (let i = 0; i < 100; i++) assert.equal(await store(samplePlace()), 'stored')
    const { bytes, entries, events } = far.stats()
    assert.ok(bytes! <= 20_000 && entries! > 5 && events.evicted === 100 - entries!)
    assert.equal(await store(samplePlace(), Buffer.alloc(20_000)), 'full')
  })

  test('a fill clears away what has ended before it evicts what has not', async () => {
    const { far, clock, store } = setup()
    const ended = Array.from({ length: 5 }, () => samplePlace({ tenant: 'acme' }))
    for (const place of ended) await store(place)
    await clock.advance(90_000)
    await store(samplePlace({ tenant: 'acme' }), Buffer.alloc(1_000), 6 * 1_700)
    assert.equal(far.stats().entries, 1)
    assert.equal(far.stats().events.evicted, 0)
  })
})
