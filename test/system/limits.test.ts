import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { aboard } from '../support/admin.ts'
import { ask, type Reply, tokenFor } from '../support/client.ts'
import { configFor, getRoute, redisStore, upstream } from '../support/config.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { holdQuestion } from '../support/held.ts'
import { type Origin, startOrigin } from '../support/origin.ts'
import { startRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'

const BURST = 20
/** So slow that no token comes back while a test runs: one in ten minutes would be a tenth of a request per minute. */
const SLOW = { requestsPerMinute: 1, burst: BURST }

const ROUTES = [
  getRoute(),
  { name: 'posted', match: { method: 'POST', path: '/api/query' }, mode: 'cache' },
  {
    name: 'stale',
    match: { path: '/api/stale/:id' },
    mode: 'cache',
    cache: { body: 'none', ttl: '100ms', jitter: 0, staleWhileRevalidate: '1m', earlyRefresh: { beta: 0 } },
  },
  { name: 'proxied', match: { path: '/proxied/*' }, mode: 'proxy' },
  { name: 'closed', match: { path: '/closed/*' }, mode: 'deny' },
]

let made = 0
const question = () => `/api/report/l${++made}`

const refused = ({ status, body }: Reply) => status === 429 && JSON.parse(body).code === 'RATE_LIMITED'

for (const kind of ['embedded', 'redis'] as const) {
  describe(`the rate of a tenant (${kind})`, () => {
    const open = new AsyncDisposableStack()
    let origin: Origin
    let gateways: TestGateway[]
    let tenants = 0
    before(async () => {
      origin = open.use(await startOrigin())
      const store =
        kind === 'redis'
          ? redisStore(open.use(await startRedis()).url, { commandTimeout: '2s' })
          : { kind: 'embedded' as const }
      const config = configFor(origin.url, {
        store,
        routes: ROUTES,
        tenants: {
          unknown: 'default',
          default: SLOW,
          list: {
            free: { requestsPerMinute: 0 },
            ample: { requestsPerMinute: 120, burst: 1 },
            shadowed: {
              requestsPerMinute: 1,
              burst: 1,
              ingressPerSecond: 1,
              shadow: ['requestsPerMinute', 'ingressPerSecond'],
            },
            crowded: { requestsPerMinute: 0, ingressPerSecond: 5 },
            batched: { requestsPerMinute: 0, ingressPerSecond: 200 },
            halfshadowed: { requestsPerMinute: 1, burst: 1, shadow: ['ingressPerSecond'] },
          },
        },
      })
      gateways = await Promise.all(Array.from({ length: kind === 'redis' ? 2 : 1 }, () => startGateway(config)))
      for (const gateway of gateways) open.use(gateway)
    })
    after(() => open.disposeAsync())

    /** A tenant with a full bucket. */
    const setup = async (tenant = `tenant${++tenants}`) => {
      const token = await tokenFor(tenant)
      let turn = 0
      const to = (gateway: TestGateway, path: string) =>
        ask(gateway.url, { path, headers: { authorization: `Bearer ${token}` } })
      /** At each gateway in turn. */
      const get = (path = question()) => to(gateways[turn++ % gateways.length]!, path)
      const spend = async (count: number) => {
        const replies = await Promise.all(Array.from({ length: count }, () => get()))
        assert.ok(
          replies.every(({ status }) => status === 200),
          'within the burst',
        )
      }
      return { token, get, to, spend, tenant }
    }
    const total = async (name: string, labels: Record<string, string>) => {
      const values = await Promise.all(gateways.map((gateway) => gateway.metric(name, labels)))
      return values.reduce((sum, value) => sum + value)
    }

    test('is its burst and not one more, however many processes it comes by', async () => {
      const { get, tenant } = await setup()
      const seenBefore = origin.seen.length
      const replies = await Promise.all(Array.from({ length: 3 * BURST }, () => get()))
      assert.equal(replies.filter(({ status }) => status === 200).length, BURST)
      assert.equal(replies.filter(refused).length, 2 * BURST)
      assert.equal(origin.seen.length - seenBefore, BURST)
      assert.equal(await total('sluice_refusals_total', { tenant, code: 'RATE_LIMITED' }), 2 * BURST)
    })

    test('is said to the client: what is left, and when to come again', async () => {
      const { get, spend } = await setup()
      const first = await get()
      assert.equal(first.headers['ratelimit-policy'], '"requests";q=1;w=60')
      assert.equal(first.headers.ratelimit, `"requests";r=${BURST - 1};t=60`)
      assert.equal(first.headers['retry-after'], undefined)
      await spend(BURST - 1)
      const over = await get()
      assert.ok(refused(over))
      assert.match(String(over.headers.ratelimit), /^"requests";r=0;t=\d+$/)
      const retryAfter = Number(over.headers['retry-after'])
      assert.ok(Number.isInteger(retryAfter) && retryAfter >= 1 && retryAfter <= 60, `Retry-After: ${retryAfter}`)
      assert.equal(over.headers['content-type'], 'application/problem+json')
      assert.equal(over.headers['cache-control'], 'no-store')
    })

    test('is kept: when Retry-After has passed the next one is let in', async () => {
      const { get } = await setup('ample') // a token every half a second
      await get()
      const over = await get()
      assert.ok(refused(over))
      assert.equal(over.headers['retry-after'], '1')
      await until(async () => (await get()).status === 200, 'a token', 1_000)
    })

    test('is not charged by hits, and says nothing on them', async () => {
      const { get, spend } = await setup()
      const path = question()
      await get(path)
      if (gateways.length > 1) assert.match((await get(path)).cache, /^hit/)
      const hits = await Promise.all(Array.from({ length: 3 * BURST }, () => get(path)))
      assert.ok(hits.every(({ status, headers }) => status === 200 && headers.ratelimit === undefined))
      await spend(BURST - 1)
      assert.ok(refused(await get()))
      assert.match((await get(path)).cache, /^hit/, 'a tenant over its rate still has its hits')
    })

    test('is charged once for all who wait for the same', async () => {
      const { get, to, spend, token } = await setup()
      const { path, letGo } = holdQuestion(origin)
      const all = gateways.flatMap((gateway) => Array.from({ length: BURST }, () => to(gateway, path)))
      await Promise.all(gateways.map((gateway) => aboard(gateway, path, token, BURST)))
      letGo()
      for (const { status } of await Promise.all(all)) assert.equal(status, 200)
      await spend(BURST - 1)
      assert.ok(refused(await get()))
    })

    test('is not charged by what is refused', async () => {
      const { get, spend, token } = await setup()
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      const { url } = gateways[0]!
      const refusals = await Promise.all([
        ...Array.from({ length: 5 }, () => ask(url, { path: '/closed/x', headers })),
        ...Array.from({ length: 5 }, () => ask(url, { method: 'POST', path: '/api/query', headers, body: '{' })),
        ...Array.from({ length: 5 }, () => ask(url, { path: '/api/report/%2e%2e/x', headers })),
        ...Array.from({ length: 5 }, () => ask(url, { path: question(), headers: { authorization: 'Bearer x' } })),
      ])
      assert.deepEqual([...new Set(refusals.map(({ status }) => status))].sort(), [400, 401, 403])
      await spend(BURST)
      const [over, more] = [await get(), await get()]
      assert.ok(refused(over) && refused(more))
      const [first, second] = [over, more].map(({ headers }) => Number(headers['retry-after']))
      assert.ok(second! <= first!, 'a refusal does not move the next token on')
    })

    test('is charged by what is proxied', async () => {
      const { get, spend } = await setup()
      const proxied = await get('/proxied/x')
      assert.match(String(proxied.headers.ratelimit), new RegExp(`^"requests";r=${BURST - 1};`))
      await spend(BURST - 1)
      assert.ok(refused(await get('/proxied/x')))
    })

    test('over it leaves what is stale', async () => {
      const { get, spend } = await setup()
      const path = '/api/stale/x'
      await get(path)
      await spend(BURST - 1)
      await until(async () => (await get(path)).cache.startsWith('hit; fwd=stale'), 'the end of the ttl')
      assert.equal((await get(path)).status, 200)
    })

    test('is its own: another tenant is not refused by it', async () => {
      const [one, other] = [await setup(), await setup()]
      await one.spend(BURST)
      assert.ok(refused(await one.get()))
      assert.equal((await other.get()).status, 200)
    })

    test('of 0 is none, and says nothing', async () => {
      const { get } = await setup('free')
      const replies = await Promise.all(Array.from({ length: 3 * BURST }, () => get()))
      assert.ok(replies.every(({ status, headers }) => status === 200 && headers['ratelimit-policy'] === undefined))
    })

    test('in shadow only counts what it would have refused', async () => {
      const { get, tenant } = await setup('shadowed')
      const seenBefore = origin.seen.length
      const replies = await Promise.all(Array.from({ length: 10 }, () => get()))
      assert.ok(replies.every(({ status }) => status === 200))
      assert.equal(origin.seen.length - seenBefore, 10)
      const counted = (limit: string) => total('sluice_shadow_refusals_total', { tenant, limit })
      assert.equal(await counted('requestsPerMinute'), 9)
      assert.ok((await counted('ingressPerSecond')) >= 8)
      assert.equal(await total('sluice_refusals_total', { tenant }), 0)
    })

    test('beside one in shadow is enforced', async () => {
      const { get } = await setup('halfshadowed')
      assert.equal((await get()).status, 200)
      assert.ok(refused(await get()))
    })

    test('at the door counts hits too', async () => {
      const { get, tenant } = await setup('crowded')
      const path = question()
      const startedAt = performance.now()
      const replies: Reply[] = []
      for (let n = 0; n < 40; n++) replies.push(await get(path))
      const allowed = 5 + Math.ceil(((performance.now() - startedAt) / 1_000) * 5)
      const passed = replies.filter(({ status }) => status === 200).length
      assert.ok(passed >= 5 && passed <= allowed, `${passed} of at most ${allowed}`)
      assert.ok(replies.some(({ cache }) => cache.startsWith('hit')))
      const over = replies.find(refused)!
      assert.equal(over.headers['ratelimit-policy'], '"ingress";q=5;w=1')
      assert.match(String(over.headers.ratelimit), /^"ingress";r=0;t=1$/)
      assert.equal(over.headers['retry-after'], '1')
      assert.ok((await total('sluice_refusals_total', { tenant, code: 'RATE_LIMITED' })) >= 1)
    })

    test('at the door is the same for a crowd that needs no call for each', async () => {
      const { get } = await setup('batched')
      const path = question()
      await get(path)
      const startedAt = performance.now()
      const replies = await Promise.all(Array.from({ length: 600 }, () => get(path)))
      const seconds = (performance.now() - startedAt) / 1_000
      const passed = replies.filter(({ status }) => status === 200).length
      // the bucket, what came back meanwhile, and the batches leased ahead
      const allowed = 200 + 200 * seconds + 40
      assert.ok(passed >= 150 && passed <= allowed, `${passed} of at most ${allowed} in ${seconds} s`)
      assert.equal(replies.filter(refused).length, 600 - passed)
    })
  })
}

describe('an upstream that lets requests hang', () => {
  test('is left alone, and what is refused meanwhile is not charged', async () => {
    await using open = new AsyncDisposableStack()
    const origin = open.use(await startOrigin(() => {}))
    const gateway = open.use(
      await startGateway(
        configFor(origin.url, {
          upstreams: {
            main: upstream(origin.url, {
              timeout: '200ms',
              connectTimeout: '200ms',
              breaker: { volumeThreshold: 4, resetTimeout: '1s', maxResetTimeout: '1s' },
            }),
          },
          routes: ROUTES,
          tenants: { unknown: 'default', default: SLOW },
        }),
      ),
    )
    const token = await tokenFor('acme')
    const get = (path: string) => ask(gateway.url, { path, headers: { authorization: `Bearer ${token}` } })
    const hung = await Promise.all(Array.from({ length: 4 }, () => get(question())))
    assert.deepEqual([...new Set(hung.map(({ body }) => JSON.parse(body).code))], ['DEADLINE_EXCEEDED'])
    assert.equal(await gateway.metric('sluice_breaker_state'), 2)
    for (let n = 0; n < 2 * BURST; n++) {
      const reply = await get(n % 2 ? question() : '/proxied/x')
      assert.deepEqual([reply.status, JSON.parse(reply.body).code], [503, 'BREAKER_OPEN'])
      assert.ok(Number(reply.headers['retry-after']) >= 1)
    }
    origin.answer((_req, res) => void res.end('well again'))
    const well = await untilOk(() => get(question()))
    assert.match(String(well.headers.ratelimit), new RegExp(`^"requests";r=${BURST - 5};`))
  })
})

async function untilOk(get: () => Promise<Reply>): Promise<Reply> {
  let reply: Reply | undefined
  await until(async () => {
    reply = await get()
    return reply.status === 200
  }, 'an answer')
  return reply!
}
