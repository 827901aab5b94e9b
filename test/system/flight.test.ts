import assert from 'node:assert/strict'
import { Agent } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { Redis } from 'ioredis'
import { aboard, explain, operate } from '../support/admin.ts'
import { ask, type Reply, tokenFor } from '../support/client.ts'
import { configFor, getRoute, redisStore, WIDE } from '../support/config.ts'
import { startDeafProxy } from '../support/deaf.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { holdQuestion } from '../support/held.ts'
import { type Origin, startOrigin } from '../support/origin.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'

/** Slow machines must not look like a store that is away. */
const PATIENT = { commandTimeout: '2s' }

const ROUTES = [
  getRoute({ staleWhileRevalidate: '0s', staleIfError: '0s', earlyRefresh: { beta: 0 } }),
  {
    name: 'swr',
    match: { path: '/api/swr/:id' },
    mode: 'cache',
    cache: { body: 'none', ttl: '200ms', jitter: 0, staleWhileRevalidate: '1m', earlyRefresh: { beta: 0 } },
  },
  {
    name: 'early',
    match: { path: '/api/early/:id' },
    mode: 'cache',
    cache: { body: 'none', ttl: '20s', jitter: 0, earlyRefresh: { beta: 100, max: 1 } },
  },
  {
    name: 'common',
    match: { path: '/api/common/:id' },
    mode: 'cache',
    cache: { body: 'none', identity: 'shared', sharedDespiteTenantHeader: true },
  },
  {
    name: 'scoped',
    match: { path: '/api/scoped/:id' },
    mode: 'cache',
    cache: { body: 'none', identity: 'tenant' },
  },
]

const TENANTS = {
  unknown: 'default',
  default: WIDE,
  list: {
    hasty: { maxExecutionTime: '400ms' },
    tight: { requestsPerMinute: 1, burst: 1 },
  },
}

/** Gateway processes on one Redis in front of one scripted origin. */
describe('a flight over several processes', () => {
  const open = new AsyncDisposableStack()
  let origin: Origin
  let redis: TestRedis
  let fleet: [TestGateway, TestGateway, TestGateway, TestGateway]
  let token: string

  const config = (url = redis.url, store: Record<string, unknown> = PATIENT) =>
    configFor(origin.url, { store: redisStore(url, store), routes: ROUTES, tenants: TENANTS })

  before(async () => {
    origin = open.use(await startOrigin())
    redis = open.use(await startRedis())
    const start = () => startGateway(config())
    fleet = await Promise.all([start(), start(), start(), start()])
    for (const gateway of fleet) open.use(gateway)
    token = await tokenFor('acme')
  })
  after(() => open.disposeAsync())

  const get = (
    gateway: TestGateway,
    path: string,
    { as = token, signal }: { as?: string; signal?: AbortSignal } = {},
  ) => ask(gateway.url, { path, headers: { authorization: `Bearer ${as}` }, ...(signal && { signal }) })
  const times = <T>(count: number, work: () => T): T[] => Array.from({ length: count }, work)
  const bodies = (replies: readonly Reply[]) => [...new Set(replies.map((reply) => reply.body))]
  /** Over all processes of the fleet. */
  const total = async (name: string, labels: Record<string, string> = {}) => {
    const values = await Promise.all(fleet.map((gateway) => gateway.metric(name, labels)))
    return values.reduce((sum, value) => sum + value)
  }

  test('asks once for a thousand who ask the same at four gateways', async () => {
    const { path, letGo, asked } = holdQuestion(origin)
    await using agents = new AsyncDisposableStack()
    const herd = fleet.flatMap((gateway) => {
      const agent = agents.adopt(new Agent({ keepAlive: true, maxSockets: 250 }), (agent) => agent.destroy())
      const headers = { authorization: `Bearer ${token}` }
      return times(250, () => ask(gateway.url, { path, headers, agent }))
    })
    await Promise.all(fleet.map((gateway) => aboard(gateway, path, token, 250)))
    letGo()
    const replies = await Promise.all(herd)
    assert.equal(asked(), 1)
    assert.deepEqual(bodies(replies), ['answer 1'])
    const by = Map.groupBy(replies, (reply) => reply.cache)
    assert.deepEqual(Object.fromEntries([...by].map(([cache, some]) => [cache, some.length])), {
      'fwd=uri-miss; stored': 1,
      'fwd=uri-miss; collapsed': 999,
    })
  })

  test('goes on without the one who started it', async () => {
    const { path, arrived, letGo, asked } = holdQuestion(origin)
    const abortedBefore = origin.aborted
    const leaving = new AbortController()
    const first = get(fleet[0], path, { signal: leaving.signal })
    await arrived(1)
    const others = [...times(5, () => get(fleet[0], path)), ...times(5, () => get(fleet[1], path))]
    await Promise.all([aboard(fleet[0], path, token, 6), aboard(fleet[1], path, token, 5)])
    leaving.abort()
    await assert.rejects(first)
    await aboard(fleet[0], path, token, 5)
    letGo()
    assert.deepEqual(bodies(await Promise.all(others)), ['answer 1'])
    assert.deepEqual([asked(), origin.aborted - abortedBefore], [1, 0])
  })

  test('is ended upstream when everyone has left', async () => {
    const { path, arrived, asked } = holdQuestion(origin)
    const abortedBefore = origin.aborted
    const leaving = new AbortController()
    const all = times(5, () => get(fleet[0], path, { signal: leaving.signal }))
    await arrived(1)
    await aboard(fleet[0], path, token, 5)
    leaving.abort()
    await Promise.allSettled(all)
    await until(() => origin.aborted > abortedBefore, 'the abort upstream')
    assert.equal(asked(), 1)
  })

  test('is led by a follower at another gateway when everyone at the leader’s has left', async () => {
    const { path, arrived, letGo } = holdQuestion(origin)
    const leaving = new AbortController()
    const first = get(fleet[0], path, { signal: leaving.signal })
    await arrived(1)
    const other = get(fleet[1], path)
    await aboard(fleet[1], path, token, 1)
    leaving.abort()
    await assert.rejects(first)
    await arrived(2)
    letGo()
    assert.equal((await other).body, 'answer 2')
  })

  test('whose leader is killed is taken over, and everyone elsewhere is answered', async () => {
    const { path, arrived, letGo, asked } = holdQuestion(origin)
    await using victim = await startGateway(config())
    const takeoversBefore = await total('sluice_flight_takeovers_total')
    const lost = get(victim, path)
    await arrived(1)
    const others = fleet.flatMap((gateway) => times(5, () => get(gateway, path)))
    await Promise.all(fleet.map((gateway) => aboard(gateway, path, token, 5)))
    victim.signal('SIGKILL')
    await assert.rejects(lost)
    await arrived(2)
    letGo()
    assert.deepEqual(bodies(await Promise.all(others)), ['answer 2'])
    assert.equal(asked(), 2)
    assert.equal((await total('sluice_flight_takeovers_total')) - takeoversBefore, 1)
  })

  test('whose leader was stopped for longer than its lease is taken over; its late answer goes to its own clients alone', async () => {
    const { path, arrived, letGo, asked } = holdQuestion(origin)
    await using sleeper = await startGateway(config())
    const own = times(3, () => get(sleeper, path))
    await arrived(1)
    await aboard(sleeper, path, token, 3)
    const other = get(fleet[0], path)
    await aboard(fleet[0], path, token, 1)
    sleeper.signal('SIGSTOP')
    await arrived(2)
    letGo(2)
    assert.equal((await other).body, 'answer 2')
    letGo(1)
    sleeper.signal('SIGCONT')
    const late = await Promise.all(own)
    assert.deepEqual(bodies(late), ['answer 1'])
    assert.equal(late.filter(({ cache }) => cache === 'fwd=uri-miss; detail=lost').length, 1)
    assert.equal(await sleeper.metric('sluice_cache_fills_total', { result: 'lost' }), 1)
    for (const gateway of [...fleet, sleeper]) assert.equal((await get(gateway, path)).body, 'answer 2')
    assert.equal(asked(), 2)
  })

  test('is flown by each process for itself when Redis dies under it', async () => {
    await using mortal = await startRedis()
    await using one = await startGateway(config(mortal.url))
    await using two = await startGateway(config(mortal.url))
    const { path, arrived, letGo, asked } = holdQuestion(origin)
    const led = times(5, () => get(one, path))
    await arrived(1)
    const followed = times(5, () => get(two, path))
    await Promise.all([aboard(one, path, token, 5), aboard(two, path, token, 5)])
    await mortal.kill()
    await arrived(2)
    letGo()
    assert.deepEqual(bodies(await Promise.all(led)), ['answer 1'])
    assert.deepEqual(bodies(await Promise.all(followed)), ['answer 2'])
    assert.equal(asked(), 2)
    const again = await Promise.all([get(one, path), get(two, path)])
    assert.deepEqual(
      again.map(({ body }) => body),
      ['answer 1', 'answer 2'],
    )
  })

  test('is found by its followers within about a second when the news of it is lost', async () => {
    await using deaf = await startDeafProxy(redis.port)
    await using hardOfHearing = await startGateway(config(deaf.url))
    const { path, arrived, letGo, asked } = holdQuestion(origin)
    const led = get(fleet[0], path)
    await arrived(1)
    const followed = times(5, () => get(hardOfHearing, path))
    await aboard(hardOfHearing, path, token, 5)
    deaf.deafen()
    letGo()
    await led
    const landedAt = performance.now()
    assert.deepEqual(bodies(await Promise.all(followed)), ['answer 1'])
    assert.ok(performance.now() - landedAt < 1_700, 'one re-check: 1 s give or take 20 %, and its work')
    assert.equal(asked(), 1)
  })

  test('goes on when every subscription is cut under it', async () => {
    const { path, arrived, letGo, asked } = holdQuestion(origin)
    const led = get(fleet[0], path)
    await arrived(1)
    const followed = times(5, () => get(fleet[1], path))
    await aboard(fleet[1], path, token, 5)
    await using admin = clientOf(redis)
    await admin.redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    letGo()
    await led
    assert.deepEqual(bodies(await Promise.all(followed)), ['answer 1'])
    assert.equal(asked(), 1)
  })

  test('answers everyone when its lease and its fence are evicted under it', async () => {
    const { path, arrived, letGo, asked } = holdQuestion(origin)
    const led = get(fleet[0], path)
    await arrived(1)
    const followed = times(5, () => get(fleet[1], path))
    await aboard(fleet[1], path, token, 5)
    await using admin = clientOf(redis)
    await admin.redis.flushall()
    letGo()
    assert.equal((await led).cache, 'fwd=uri-miss; detail=lost')
    assert.deepEqual([...new Set((await Promise.all(followed)).map(({ status }) => status))], [200])
    assert.ok(asked() <= 2, `${asked()} requests upstream`)
  })

  test('is left by each at his own deadline', async () => {
    const { path, arrived, letGo, asked } = holdQuestion(origin, undefined, '/api/common')
    const hasty = await tokenFor('hasty')
    const patient = get(fleet[0], path)
    await arrived(1)
    const left = await Promise.all([get(fleet[0], path, { as: hasty }), get(fleet[1], path, { as: hasty })])
    for (const { status, body } of left) assert.deepEqual([status, JSON.parse(body).code], [504, 'DEADLINE_EXCEEDED'])
    letGo()
    assert.equal((await patient).body, 'answer 1')
    assert.equal(asked(), 1)
  })

  test('outlives the deadline of the one who started it', async () => {
    const { path, arrived, letGo, asked } = holdQuestion(origin, undefined, '/api/common')
    const hasty = get(fleet[0], path, { as: await tokenFor('hasty') })
    await arrived(1)
    const patient = [get(fleet[0], path), get(fleet[1], path)]
    assert.equal((await hasty).status, 504)
    letGo()
    assert.deepEqual(bodies(await Promise.all(patient)), ['answer 1'])
    assert.equal(asked(), 1)
  })

  test('that failed is answered to all who waited, and asked anew by the next', async () => {
    const { path, letGo, asked } = holdQuestion(origin, (n, res) => void res.writeHead(500).end(`broken ${n}`))
    const all = [...times(25, () => get(fleet[0], path)), ...times(25, () => get(fleet[1], path))]
    await Promise.all([aboard(fleet[0], path, token, 25), aboard(fleet[1], path, token, 25)])
    letGo()
    const replies = await Promise.all(all)
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [500])
    assert.ok(asked() <= 2, `${asked()} requests upstream`)
    const askedBefore = asked()
    assert.equal((await get(fleet[2], path)).body, `broken ${askedBefore + 1}`)
    assert.equal(asked(), askedBefore + 1)
  })

  test('that broke off is refused to all who waited', async () => {
    const { path, letGo, asked } = holdQuestion(origin, (_n, res) => {
      res.writeHead(200, { 'content-length': '100' }).write('half')
      res.destroy()
    })
    const all = [...times(10, () => get(fleet[0], path)), ...times(10, () => get(fleet[1], path))]
    await Promise.all([aboard(fleet[0], path, token, 10), aboard(fleet[1], path, token, 10)])
    letGo()
    const replies = await Promise.all(all)
    assert.deepEqual([...new Set(replies.map(({ body }) => JSON.parse(body).code))], ['UPSTREAM_INVALID'])
    assert.ok(asked() <= 2, `${asked()} requests upstream`)
  })

  test('whose answer is nobody else’s lets everyone who waited ask at the same time', async () => {
    const { path, arrived, letGo, asked } = holdQuestion(
      origin,
      (n, res) => void res.writeHead(200, { 'cache-control': 'no-store' }).end(`answer ${n}`),
    )
    const all = [...times(10, () => get(fleet[0], path)), ...times(10, () => get(fleet[1], path))]
    await Promise.all([aboard(fleet[0], path, token, 10), aboard(fleet[1], path, token, 10)])
    letGo(1)
    await arrived(20) // none of the 19 has been answered yet
    letGo()
    assert.equal(bodies(await Promise.all(all)).length, 20)
    assert.equal(asked(), 20)
  })

  test('is not waited for where the last answer was nobody else’s', async () => {
    const { path, arrived, letGo } = holdQuestion(
      origin,
      (n, res) => void res.writeHead(200, { 'cache-control': 'no-store' }).end(`answer ${n}`),
    )
    letGo(1)
    await get(fleet[0], path)
    const all = fleet.flatMap((gateway) => times(5, () => get(gateway, path)))
    await arrived(21)
    letGo()
    assert.equal(bodies(await Promise.all(all)).length, 20)
  })

  test('that a purge overtook answers those who came before it, fills nothing, and a later one gets a new answer', async () => {
    const { path, arrived, letGo, asked } = holdQuestion(origin)
    const purged = await tokenFor('purged')
    const first = get(fleet[0], path, { as: purged })
    await arrived(1)
    const earlier = [first, get(fleet[0], path, { as: purged }), get(fleet[0], path, { as: purged })]
    const elsewhere = get(fleet[1], path, { as: purged })
    await Promise.all([aboard(fleet[0], path, purged, 3), aboard(fleet[1], path, purged, 1)])
    assert.equal((await operate(fleet[2], 'purge', { tenant: 'purged' })).status, 200)
    await Promise.all([aboard(fleet[0], path, purged, 0), aboard(fleet[1], path, purged, 0)]) // the news has come
    const later = [get(fleet[0], path, { as: purged }), get(fleet[1], path, { as: purged })]
    await Promise.all([aboard(fleet[0], path, purged, 1), aboard(fleet[1], path, purged, 1)])
    letGo(1)
    assert.deepEqual(bodies(await Promise.all(earlier)), ['answer 1'])
    assert.equal((await first).cache, 'fwd=uri-miss; detail=purged')
    await arrived(2)
    letGo()
    assert.deepEqual(bodies(await Promise.all([...later, elsewhere])), ['answer 2'])
    for (const gateway of fleet) assert.equal((await get(gateway, path, { as: purged })).body, 'answer 2')
    assert.equal(asked(), 2)
    assert.ok((await total('sluice_cache_fills_total', { result: 'purged' })) >= 1)
  })

  test('that refreshes a stale answer is one for the fleet, and nobody waits for it', async () => {
    const { path, arrived, letGo, asked } = holdQuestion(origin, undefined, '/api/swr')
    letGo(1)
    await get(fleet[0], path)
    await until(async () => {
      const seen = await Promise.all([explain(fleet[0], path, token), explain(fleet[1], path, token)])
      return seen[0].freshness === 'stale' && (await get(fleet[1], path)).cache.startsWith('hit; fwd=stale')
    }, 'the end of the ttl')
    await arrived(2)
    const stale = await Promise.all([...times(20, () => get(fleet[0], path)), ...times(20, () => get(fleet[1], path))])
    assert.deepEqual(bodies(stale), ['answer 1'])
    assert.ok(stale.every(({ cache }) => /^hit; fwd=stale; ttl=-\d+$/.test(cache)))
    assert.equal(asked(), 2)
    letGo()
    for (const gateway of fleet) await until(async () => (await get(gateway, path)).body !== 'answer 1', 'the refresh')
  })

  test('that refreshes early is one for the fleet, and its readers have hits', async () => {
    const { path, arrived, letGo, asked } = holdQuestion(origin, undefined, '/api/early')
    const first = get(fleet[0], path)
    await arrived(1)
    await new Promise((resolve) => setTimeout(resolve, 100)) // the cost that XFetch goes by
    letGo(1)
    await first
    const seen = await Promise.all([...times(100, () => get(fleet[0], path)), ...times(100, () => get(fleet[1], path))])
    await arrived(2)
    const more = await Promise.all([...times(50, () => get(fleet[0], path)), ...times(50, () => get(fleet[1], path))])
    assert.ok([...seen, ...more].every(({ cache, body }) => cache.startsWith('hit; ttl=') && body === 'answer 1'))
    assert.equal(asked(), 2)
    letGo()
    for (const gateway of fleet) await until(async () => (await get(gateway, path)).body !== 'answer 1', 'the refresh')
  })

  test('does not refuse one tenant for the rate of another who started it', async () => {
    await using store = await startRedis()
    await using gateway = await startGateway(config(store.url))
    const tight = await tokenFor('tight')
    assert.equal((await get(gateway, '/api/report/spend', { as: tight })).status, 200)
    for (let round = 0; round < 20; round++) {
      const { path, asked, letGo } = holdQuestion(origin, undefined, '/api/common')
      letGo()
      store.pause() // so that the flight is still waiting for its rate token when the others come
      const led = get(gateway, path, { as: tight })
      const followed = times(10, () => get(gateway, path))
      await until(async () => (await gateway.metric('sluice_connections')) >= 11, 'eleven connections')
      store.resume()
      const replies = await Promise.all(followed)
      assert.deepEqual([...new Set(replies.map(({ status }) => status))], [200])
      assert.ok(asked() <= 2, `${asked()} requests upstream`)
      if ((await led).status === 429) return
    }
    assert.fail('the tenant over its rate never led')
  })

  test('gives an answer that is nobody else’s, with its cookie, to the one who started it or to nobody', async () => {
    const { path, arrived, letGo, asked } = holdQuestion(
      origin,
      (n, res) =>
        void res.writeHead(200, { 'cache-control': 'no-store', 'set-cookie': `session=${n}` }).end(`answer ${n}`),
      '/api/scoped',
    )
    const leaving = new AbortController()
    const [ana, bob] = [await tokenFor('acme', { sub: 'ana' }), await tokenFor('acme', { sub: 'bob' })]
    const first = get(fleet[0], path, { as: ana, signal: leaving.signal })
    await arrived(1)
    const second = get(fleet[0], path, { as: bob })
    await aboard(fleet[0], path, ana, 2)
    leaving.abort()
    await assert.rejects(first)
    await aboard(fleet[0], path, ana, 1)
    letGo()
    const reply = await second
    assert.deepEqual([reply.body, reply.headers['set-cookie']], ['answer 2', ['session=2']])
    assert.equal(asked(), 2)
  })
})

function clientOf({ url }: TestRedis): AsyncDisposable & { redis: Redis } {
  const redis = new Redis(url)
  return { redis, [Symbol.asyncDispose]: async () => redis.disconnect() }
}
