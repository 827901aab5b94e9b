import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Bus } from '../kernel/bus.ts'
import type { ManualClock } from '../kernel/clock.manual.ts'
import type { Purge } from '../kernel/news.ts'
import { sampleEntry, samplePlace } from './entry.sample.ts'
import { type Entry, entryBytes, type Place } from './entry.ts'
import type { Far, FillOutcome } from './far.ts'

export interface OpenedFar {
  far: Far
  bus: Bus
  clock: ManualClock
  /** Waits until reads have reached the least-recently-used order. */
  settle: () => Promise<void>
}

const ROOMY = { maxTenantBytes: 100 * 1024 * 1024 }

/**
 * What every far tier owes its callers. Each adapter's test file runs this and nothing weaker. Long, because it is one
 * contract: a part that stood elsewhere would one day not be run.
 */
export function farContract(name: string, open: () => OpenedFar): void {
  const setup = () => {
    const { far, bus, clock, settle } = open()
    const fresh = (changes: Partial<Entry> = {}) => sampleEntry({ storedAt: clock.now(), ...changes })
    /** One leader from begin to fill. */
    const store = async (place: Place, entry = fresh(), bounds = ROOMY): Promise<FillOutcome> => {
      const { ticket } = await far.begin(place, 'token')
      return far.fill(place, entry, ticket, bounds)
    }
    const holds = async (place: Place) => (await far.read(place))?.kind ?? null
    return { far, bus, clock, settle, fresh, store, holds }
  }

  describe(`${name} far tier`, () => {
    test('gives what a leader filled, as it was', async () => {
      const { far, fresh } = setup()
      const place = samplePlace({ tags: ['dataset:7', 'dataset:8'] })
      const entry = fresh({ coding: 'zstd', headers: ['content-type', 'text/csv', 'x', 'Grüße'], rearmedAt: 7 })
      const { found, ticket } = await far.begin(place, 'token')
      assert.equal(found, null)
      assert.equal(await far.fill(place, entry, ticket, ROOMY), 'stored')
      assert.deepEqual(await far.read(place), { kind: 'entry', entry })
    })

    test('knows nothing of a place that nobody filled', async () => {
      const { far } = setup()
      assert.equal(await far.read(samplePlace()), null)
    })

    test('serves the identity that all tenants share', async () => {
      const { store, holds } = setup()
      const place = samplePlace({ tenant: '', tags: ['t'] })
      assert.equal(await store(place), 'stored')
      assert.equal(await holds(place), 'entry')
    })

    test('announces a fill with its leader’s token', async () => {
      const { far, bus, fresh } = setup()
      const heard = Promise.withResolvers<string>()
      const place = samplePlace()
      bus.listen((message) => message.includes(place.key) && heard.resolve(message))
      const { ticket } = await far.begin(place, 'my-token')
      await far.fill(place, fresh(), ticket, ROOMY)
      assert.equal(await heard.promise, `filled ${place.key} my-token`)
    })

    test('looks once more for a leader who begins', async () => {
      const { far, fresh, store } = setup()
      const place = samplePlace()
      const entry = fresh()
      await store(place, entry)
      assert.deepEqual((await far.begin(place, 'next')).found, { kind: 'entry', entry })
    })

    test('refuses a leader when a newer one has begun, and takes the newer one', async () => {
      const { far, fresh } = setup()
      const place = samplePlace()
      const old = await far.begin(place, 'old')
      const newer = await far.begin(place, 'newer')
      assert.equal(await far.fill(place, fresh({ status: 200, computeMs: 1 }), old.ticket, ROOMY), 'lost')
      assert.equal(await far.read(place), null)
      assert.equal(await far.fill(place, fresh({ computeMs: 2 }), newer.ticket, ROOMY), 'stored')
      const found = await far.read(place)
      assert.equal(found?.kind === 'entry' && found.entry.computeMs, 2)
    })

    test('takes one answer per ticket, and none without', async () => {
      const { far, fresh } = setup()
      const place = samplePlace()
      const { ticket } = await far.begin(place, 'token')
      assert.equal(await far.fill(place, fresh(), ticket, ROOMY), 'stored')
      assert.equal(await far.fill(place, fresh(), ticket, ROOMY), 'lost')
      assert.equal(await far.fill(samplePlace(), fresh(), ticket, ROOMY), 'lost')
    })

    for (const form of ['all', 'tenant', 'tags', 'key'] as const) {
      test(`purging by ${form} forgets what is there and refuses a fill that began before`, async () => {
        const { far, fresh, store, holds } = setup()
        const place = samplePlace({ tags: ['a', 'b'] })
        const { tenant, key } = place
        const what: Purge = {
          all: { all: true as const },
          tenant: { tenant },
          tags: { tenant, tags: ['b'] },
          key: { tenant, key },
        }[form]
        await store(place)
        const { ticket } = await far.begin(place, 'late')
        await far.purge(what)
        assert.equal(await holds(place), null)
        assert.equal(await far.fill(place, fresh(), ticket, ROOMY), form === 'key' ? 'lost' : 'purged')
        assert.equal(await holds(place), null)
        assert.equal(await store(place), 'stored')
        assert.equal(await holds(place), 'entry')
      })
    }

    for (const form of ['tags', 'key'] as const) {
      test(`purging by ${form} without a tenant forgets it of every tenant, and nothing else`, async () => {
        const { far, fresh, store, holds } = setup()
        const [mine, yours] = [samplePlace({ tags: ['a', 'b'] }), samplePlace({ tags: ['b', 'c'] })]
        const beside = samplePlace({ tenant: mine.tenant, tags: ['c'] })
        for (const place of [mine, yours, beside]) await store(place)
        const { ticket } = await far.begin(mine, 'late')
        await far.purge(form === 'tags' ? { tags: ['b'] } : { key: mine.key })
        assert.equal(await far.fill(mine, fresh(), ticket, ROOMY), form === 'key' ? 'lost' : 'purged')
        assert.deepEqual(await Promise.all([mine, yours, beside].map(holds)), [
          null,
          form === 'tags' ? null : 'entry',
          'entry',
        ])
        assert.equal(await store(mine), 'stored')
      })
    }

    test('a purge leaves alone what it does not name', async () => {
      const { far, store, holds } = setup()
      const mine = samplePlace({ tags: ['a'] })
      const beside = samplePlace({ tenant: mine.tenant, tags: ['c'] })
      const other = samplePlace({ tags: ['a', 'b'] })
      for (const place of [mine, beside, other]) await store(place)
      await far.purge({ tenant: mine.tenant, tags: ['a', 'b'] })
      assert.deepEqual([await holds(mine), await holds(beside), await holds(other)], [null, 'entry', 'entry'])
      await far.purge({ tenant: mine.tenant, tags: [] })
      await far.purge({ tenant: mine.tenant, key: 'nobody’s' })
      assert.equal(await holds(beside), 'entry')
      await far.purge({ tenant: mine.tenant })
      assert.deepEqual([await holds(beside), await holds(other)], [null, 'entry'])
    })

    test('a tag of any length and with any character purges what bears it', async () => {
      const { far, store, holds } = setup()
      for (const tag of ['x'.repeat(1_000), 'a:b {c} "d"\n', '', 'ü']) {
        const place = samplePlace({ tags: [tag] })
        await store(place)
        assert.equal(await holds(place), 'entry')
        await far.purge({ tenant: place.tenant, tags: [tag] })
        assert.equal(await holds(place), null)
      }
    })

    test('an entry is valid only under the tags it was filled with', async () => {
      const { store, holds } = setup()
      const place = samplePlace({ tags: ['a'] })
      await store(place)
      await store({ ...samplePlace(), tenant: place.tenant, tags: ['b'] })
      assert.equal(await holds({ ...place, tags: ['a', 'b'] }), null)
    })

    test('a marker says that the place cannot be shared, until an answer can', async () => {
      const { far, store, holds } = setup()
      const place = samplePlace()
      const { ticket } = await far.begin(place, 'token')
      assert.equal(await far.fillPass(place, ticket), 'stored')
      assert.equal(await holds(place), 'pass')
      assert.equal((await far.begin(place, 'other')).found?.kind, 'pass')
      assert.equal(await far.fillPass(place, ticket), 'lost')
      await store(place)
      assert.equal(await holds(place), 'entry')
    })

    test('notes that a refresh failed, on the entry that was read and no other', async () => {
      const { far, fresh, store, clock } = setup()
      const place = samplePlace()
      const entry = fresh()
      await store(place, entry)
      await far.rearm(place, { ...entry, rearmedAt: 1_234.5 })
      await far.rearm(place, { ...entry, storedAt: entry.storedAt - 1, rearmedAt: 9 })
      await far.rearm(samplePlace(), { ...entry, rearmedAt: 9 })
      assert.deepEqual(await far.read(place), { kind: 'entry', entry: { ...entry, rearmedAt: 1_234.5 } })
      await clock.advance(1)
      await store(place, fresh())
      await far.rearm(place, { ...entry, rearmedAt: 9 })
      const found = await far.read(place)
      assert.equal(found?.kind === 'entry' && found.entry.rearmedAt, 0)
    })

    test('tells what it holds', async () => {
      const { far, store, clock } = setup()
      const place = samplePlace()
      const nothing = { kind: null, leftMs: null, bytes: null, generation: null, isFenced: false }
      assert.deepEqual(await far.inspect(place), nothing)
      await far.begin(place, 'token')
      assert.equal((await far.inspect(place)).isFenced, true)
      await store(place)
      const view = await far.inspect(place)
      assert.equal(view.kind, 'entry')
      assert.ok(view.leftMs! > 89_000 && view.leftMs! <= 90_000, `${view.leftMs}`)
      assert.ok(view.bytes! > 0 && view.generation && !view.isFenced)
      await clock.advance(0)
    })

    test('refuses what is larger than the tenant’s whole budget, and evicts nothing for it', async () => {
      const { store, holds, fresh } = setup()
      const small = samplePlace()
      const bounds = { maxTenantBytes: 10_000 }
      await store(small, fresh(), bounds)
      const large = samplePlace({ tenant: small.tenant })
      assert.equal(await store(large, fresh({ body: Buffer.alloc(10_000) }), bounds), 'full')
      assert.deepEqual([await holds(small), await holds(large)], ['entry', null])
    })

    test('evicts a tenant’s own least recently used entries, and nobody else’s', async () => {
      const { store, holds, fresh, clock, settle } = setup()
      const other = samplePlace()
      await store(other)
      const [a, b, c, d] = Array.from({ length: 4 }, () => samplePlace({ tenant: 'lru' })) as [
        Place,
        Place,
        Place,
        Place,
      ]
      const bounds = { maxTenantBytes: Math.floor(3.9 * entryBytes(fresh({ body: Buffer.alloc(2_000) }))) }
      for (const place of [a, b, c]) {
        await store(place, fresh({ body: Buffer.alloc(2_000) }), bounds)
        await clock.advance(1)
      }
      assert.equal(await holds(a), 'entry') // now b is the least recently used
      await settle()
      await clock.advance(1)
      assert.equal(await store(d, fresh({ body: Buffer.alloc(2_000) }), bounds), 'stored')
      await clock.advance(1)
      const held = [await holds(a), await holds(b), await holds(c), await holds(d), await holds(other)]
      assert.deepEqual(held, ['entry', null, 'entry', 'entry', 'entry'])
    })

    test('counts a place once however often it is filled', async () => {
      const { store, holds, fresh, clock } = setup()
      const [a, b] = [samplePlace({ tenant: 'again' }), samplePlace({ tenant: 'again' })]
      const bounds = { maxTenantBytes: 8_000 }
      await store(a, fresh({ body: Buffer.alloc(2_000) }), bounds)
      for (let i = 0; i < 10; i++) {
        await clock.advance(1)
        await store(b, fresh({ body: Buffer.alloc(2_000) }), bounds)
      }
      assert.deepEqual([await holds(a), await holds(b)], ['entry', 'entry'])
    })

    test('a large answer takes the place of as many small ones as it needs', async () => {
      const { store, holds, fresh, clock, far } = setup()
      const bounds = { maxTenantBytes: 400_000 }
      const small = Array.from({ length: 350 }, () => samplePlace({ tenant: 'many' }))
      for (const place of small) {
        await store(place, fresh(), bounds)
        await clock.advance(1)
      }
      const large = samplePlace({ tenant: 'many' })
      assert.equal(await store(large, fresh({ body: Buffer.alloc(390_000) }), bounds), 'stored')
      assert.equal(await holds(large), 'entry')
      assert.equal(await holds(small[300]!), null)
      assert.ok(far.stats().events.evicted > 300)
    })
  })
}
