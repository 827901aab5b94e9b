import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { startRedis, type TestRedis } from '../../test/support/redis.ts'
import { MemoryBus } from '../kernel/bus.ts'
import { StoreUnavailable } from '../kernel/errors.ts'
import { decodeNews } from '../kernel/news.ts'
import { RedisStore } from '../kernel/redis/store.ts'
import { fleetContract } from './fleet.contract.ts'
import { RedisFleet, type RedisFleetOptions } from './fleet.redis.ts'
import type { Fleet, FlightPlace, Lease, Watch } from './fleet.ts'

const LEASE_MS = 300
const STAYS = new AbortController().signal

let redis: TestRedis
before(async () => {
  redis = await startRedis()
})
after(() => redis[Symbol.asyncDispose]())

/** One gateway process, as far as the fleet sees it: a store of its own. */
async function openProcess(t: TestContext, options: Partial<RedisFleetOptions> = {}, { url } = redis) {
  const store = new RedisStore({ url, keyPrefix: 'sluice:', commandTimeoutMs: 50 })
  const hears = Promise.withResolvers<void>()
  const stop = store.bus.onGap(hears.resolve) // the first subscription is told as the end of a gap
  await Promise.all([store.firstContact(2_000), hears.promise])
  stop()
  const takeovers: FlightPlace[] = []
  const fleet = new RedisFleet({ store, leaseMs: LEASE_MS, onTakeover: (place) => takeovers.push(place), ...options })
  t.after(async () => {
    await fleet[Symbol.asyncDispose]()
    await store[Symbol.asyncDispose]()
  })
  return { store, fleet, takeovers }
}

const newPlace = (): FlightPlace => ({ key: randomUUID().replaceAll('-', ''), tenant: 'acme' })

async function lead(fleet: Fleet, place: FlightPlace): Promise<Lease> {
  const departure = await fleet.depart(place)
  assert.ok(departure.leads, 'it should lead')
  return departure
}

async function watch(fleet: Fleet, place: FlightPlace): Promise<Watch> {
  const departure = await fleet.depart(place)
  assert.ok(!departure.leads, 'somebody else should lead')
  return departure
}

/** Tries until the store can be reached. */
async function departs(fleet: Fleet): Promise<void> {
  for (;;) {
    const departure = await fleet.depart(newPlace()).catch(() => wait(20))
    if (departure) return departure.leads ? departure.land({ how: 'open' }) : departure.close()
  }
}

const leaseKey = ({ store }: { store: RedisStore }, { tenant, key }: FlightPlace) => store.keys.of(tenant, 'lease', key)

const tokenAt = (process: { store: RedisStore }, place: FlightPlace) =>
  process.store.run('test', (client) => client.get(leaseKey(process, place)))

describe('redis fleet alone', () => {
  let store: RedisStore
  before(async () => {
    store = new RedisStore({ url: redis.url, keyPrefix: 'sluice:', commandTimeoutMs: 50 })
    await store.firstContact(2_000)
  })
  after(() => store[Symbol.asyncDispose]())
  fleetContract('redis', () => new RedisFleet({ store, leaseMs: LEASE_MS }))
})

describe('two processes', () => {
  async function setup(t: TestContext) {
    const [here, there] = await Promise.all([openProcess(t), openProcess(t)])
    return { here, there, place: newPlace() }
  }

  test('one leads and the other watches', async (t) => {
    const { here, there, place } = await setup(t)
    const lease = await lead(here.fleet, place)
    const other = await watch(there.fleet, place)
    assert.equal(await tokenAt(here, place), lease.token)
    other.close()
    await lease.land({ how: 'open' })
    assert.equal(await tokenAt(here, place), null)
  })

  for (const how of ['open', 'failed'] as const) {
    test(`a flight that ended ${how} is heard at once, and leaves its key free`, async (t) => {
      const { here, there, place } = await setup(t)
      const lease = await lead(here.fleet, place)
      const landing = (await watch(there.fleet, place)).landing(STAYS)
      await lease.land({ how })
      assert.deepEqual(await landing, { how })
      const next = await lead(there.fleet, place)
      assert.deepEqual(there.takeovers, [], 'a landing was seen: this is no takeover')
      await next.land({ how: 'open' })
    })
  }

  test('the news of a fill is the fill script’s; who comes after it is sent to look when the flight lands', async (t) => {
    const { here, there, place } = await setup(t)
    const lease = await lead(here.fleet, place)
    const landing = (await watch(there.fleet, place)).landing(STAYS)
    here.store.bus.publish(`filled ${place.key} ${lease.token}`)
    assert.deepEqual(await landing, { how: 'filled' })

    const late = (await watch(there.fleet, place)).landing(STAYS)
    const filled: string[] = []
    there.store.bus.listen((message) => message.startsWith('filled') && filled.push(message))
    await lease.land({ how: 'filled' })
    assert.deepEqual(await late, { how: 'failed' })
    assert.deepEqual(filled, [], 'a second "filled" would empty near tiers')
    await (await lead(there.fleet, place)).land({ how: 'open' })
    assert.deepEqual(there.takeovers, [])
  })

  test('a failure’s note reaches those who watched, byte for byte', async (t) => {
    const { here, there, place } = await setup(t)
    const note = Buffer.from([0, 255, 10, 13, 200, 65])
    const lease = await lead(here.fleet, place)
    const landing = (await watch(there.fleet, place)).landing(STAYS)
    await lease.land({ how: 'failed', note })
    assert.deepEqual(await landing, { how: 'failed', note })
    const leftMs = await here.store.run('test', (client) =>
      client.pttl(here.store.keys.of(place.tenant, 'note', place.key)),
    )
    assert.ok(leftMs > 0 && leftMs <= 1_000)
  })

  test('a note that is too large is left out, and an older note is not taken for its', async (t) => {
    const { here, there, place } = await setup(t)
    const heard = new Promise((resolve) => there.store.bus.listen(resolve))
    await (await lead(here.fleet, place)).land({ how: 'failed', note: Buffer.from('of the first flight') })
    await heard
    const lease = await lead(here.fleet, place)
    const landing = (await watch(there.fleet, place)).landing(STAYS)
    await lease.land({ how: 'failed', note: Buffer.alloc(64 * 1024 + 1) })
    assert.deepEqual(await landing, { how: 'failed' })
  })

  test('a lease lives as long as its flight', async (t) => {
    const { here, there, place } = await setup(t)
    const lease = await lead(here.fleet, place)
    await wait(LEASE_MS * 2.5)
    ;(await watch(there.fleet, place)).close()
    assert.equal(lease.lost.aborted, false)
    await lease.land({ how: 'open' })
  })

  test('when the leader is killed whoever watched looks within a lease, leads, and counts a takeover', async (t) => {
    const { here, there, place } = await setup(t)
    const dead = await lead(here.fleet, place)
    const startedAt = performance.now()
    await here.store[Symbol.asyncDispose]() // what a killed process leaves: no connection, and a lease that nobody extends
    assert.equal(await (await watch(there.fleet, place)).landing(STAYS), null)
    assert.ok(performance.now() - startedAt < LEASE_MS + 150)
    if (!dead.lost.aborted) await once(dead.lost, 'abort')
    assert.match(String(dead.lost.reason), /could not be extended/)
    const lease = await lead(there.fleet, place)
    assert.deepEqual(there.takeovers, [place])
    await lease.land({ how: 'open' })
  })

  test('an old leader cannot disturb the flight that took over', async (t) => {
    const { here, there, place } = await setup(t)
    const old = await lead(here.fleet, place)
    await here.store.run('test', (client) => client.del(leaseKey(here, place)))
    const young = await lead(there.fleet, place)
    const third = await openProcess(t)
    const landing = (await watch(third.fleet, place)).landing(STAYS)
    await old.land({ how: 'failed', note: Buffer.from('of the old one') })
    assert.equal(await tokenAt(here, place), young.token)
    await young.land({ how: 'open' })
    assert.deepEqual(await landing, { how: 'open' })
  })

  test('a lease that somebody else holds by now is lost at the next extension', async (t) => {
    const { here, place } = await setup(t)
    const lease = await lead(here.fleet, place)
    await here.store.run('test', (client) => client.set(leaseKey(here, place), 'another', 'PX', 5_000))
    await once(lease.lost, 'abort')
    await lease.land({ how: 'open' })
    assert.equal(await tokenAt(here, place), 'another')
  })

  test('dropped messages cost a wait and nothing more', async (t) => {
    const { here, place } = await setup(t)
    const { store, fleet: _, ...rest } = await openProcess(t)
    const deaf = new RedisFleet({
      store: { run: store.run.bind(store), keys: store.keys, bus: new MemoryBus() },
      leaseMs: LEASE_MS,
      onTakeover: (at) => rest.takeovers.push(at),
    })
    const lease = await lead(here.fleet, place)
    const landing = (await watch(deaf, place)).landing(STAYS)
    await lease.land({ how: 'open' })
    assert.equal(await landing, null)
    await (await lead(deaf, place)).land({ how: 'open' })
  })

  test('a gap in the bus sends everyone to look', async (t) => {
    const { here, place } = await setup(t)
    const { store } = await openProcess(t)
    const bus = new MemoryBus()
    const fleet = new RedisFleet({ store: { run: store.run.bind(store), keys: store.keys, bus }, leaseMs: 60_000 })
    const lease = await lead(here.fleet, place)
    const landing = (await watch(fleet, place)).landing(STAYS)
    bus.gap()
    assert.equal(await landing, null)
    await lease.land({ how: 'open' })
  })

  test('who leaves its watch is let go at once', async (t) => {
    const { here, there, place } = await setup(t)
    const lease = await lead(here.fleet, place)
    const client = new AbortController()
    const landing = (await watch(there.fleet, place)).landing(client.signal)
    client.abort(new Error('client left'))
    await assert.rejects(landing, /client left/)
    await lease.land({ how: 'open' })
  })

  test('news of other keys and of other kinds are passed over', async (t) => {
    const { here, there, place } = await setup(t)
    const lease = await lead(here.fleet, place)
    const landing = (await watch(there.fleet, place)).landing(STAYS)
    for (const message of ['landed other open', 'purged {"all":true}', 'nonsense', '']) here.store.bus.publish(message)
    await lease.land({ how: 'open' })
    assert.deepEqual(await landing, { how: 'open' })
    assert.equal(decodeNews('nonsense'), undefined)
  })

  test('twelve who try at the same instant have one leader', async (t) => {
    const { here, there, place } = await setup(t)
    const tries = Array.from({ length: 12 }, (_, n) => (n % 2 ? here : there).fleet.depart(place))
    const departures = await Promise.all(tries)
    const leases = departures.filter((departure) => departure.leads)
    assert.equal(leases.length, 1)
    for (const departure of departures) if (!departure.leads) departure.close()
    await leases[0]!.land({ how: 'open' })
  })
})

describe('a store that is away', () => {
  test('stopped: nobody may lead or watch, the lease is lost, and landing still does not throw', async (t) => {
    const own = await startRedis()
    t.after(() => own[Symbol.asyncDispose]())
    const { fleet, store } = await openProcess(t, {}, own)
    const lease = await lead(fleet, newPlace())
    own.pause()
    const startedAt = performance.now()
    await assert.rejects(fleet.depart(newPlace()), StoreUnavailable)
    await once(lease.lost, 'abort')
    assert.ok(performance.now() - startedAt < LEASE_MS + 200)
    await lease.land({ how: 'failed', note: Buffer.from('why') })

    own.resume()
    assert.ok(await store.firstContact(3_000))
    await departs(fleet) // the breaker lets go in its time
  })

  test('killed and empty again: the old leader’s lease is lost', async (t) => {
    const own = await startRedis()
    t.after(() => own[Symbol.asyncDispose]())
    const { fleet } = await openProcess(t, { leaseMs: 900 }, own)
    const lease = await lead(fleet, newPlace())
    await own.restart()
    await once(lease.lost, 'abort')
  })

  test('a lease key that never expires is not waited for', async (t) => {
    const { fleet, store } = await openProcess(t)
    const place = newPlace()
    await store.run('test', (client) => client.lpush(store.keys.of(place.tenant, 'lease', place.key), 'not a lease'))
    await assert.rejects(fleet.depart(place), StoreUnavailable)
  })
})

describe('independent masters', () => {
  async function setup(t: TestContext) {
    const masters = await Promise.all([startRedis(), startRedis(), startRedis()])
    t.after(() => Promise.all(masters.map((master) => master[Symbol.asyncDispose]())))
    const options = { lockUrls: masters.map((master) => master.url) }
    const [here, there] = await Promise.all([openProcess(t, options), openProcess(t, options)])
    await Promise.all([departs(here.fleet), departs(there.fleet)]) // their connections come up by themselves
    return { masters, here, there, place: newPlace() }
  }

  test('a majority decides; its mark stands in the store; landing frees all of them', async (t) => {
    const { masters, here, there, place } = await setup(t)
    await masters[2]!.kill()
    const lease = await lead(here.fleet, place)
    assert.equal(await tokenAt(here, place), lease.token)
    const landing = (await watch(there.fleet, place)).landing(STAYS)
    await wait(LEASE_MS * 1.5)
    assert.equal(lease.lost.aborted, false)
    await lease.land({ how: 'open' })
    assert.ok([null, 'open'].includes((await landing)?.how ?? null))
    await (await lead(there.fleet, place)).land({ how: 'open' })
  })

  test('without a majority nobody leads, and it is an outage', async (t) => {
    const { masters, here } = await setup(t)
    await Promise.all([masters[1]!.kill(), masters[2]!.kill()])
    await assert.rejects(here.fleet.depart(newPlace()), StoreUnavailable)
  })
})
