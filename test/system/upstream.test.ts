import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import { ask, type Reply, tokenFor } from '../support/client.ts'
import { configFor, getRoute, queryRoute, upstream } from '../support/config.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { startOrigin } from '../support/origin.ts'
import { freePort } from '../support/ports.ts'
import { openRaw } from '../support/raw.ts'
import { until } from '../support/until.ts'

type Settings = Record<string, unknown>

const TENANTS = ['acme', 'globex', 'initech']
/** Never to be connected to: TEST-NET-1 (RFC 5737). */
const NOWHERE = 'http://192.0.2.1:9'

const short = (cache: Settings = {}) => ({
  name: 'short',
  match: { path: '/api/short/:id' },
  mode: 'cache',
  cache: {
    ...{ body: 'none', ttl: '50ms', jitter: 0, earlyRefresh: { beta: 0 }, staleWhileRevalidate: '0s' },
    ...{ staleIfError: '1h', ...cache },
  },
})

const routes = (idempotent = true) => [
  queryRoute({}, { idempotent }),
  { ...getRoute(), idempotent },
  short(),
  { name: 'open', match: { path: '/open/*' }, mode: 'proxy', auth: 'none' },
]

const start = (urls: string | string[], settings: Settings, idempotent = true) =>
  startGateway(
    configFor('', {
      upstreams: { main: upstream('', { urls: [urls].flat(), ...settings }) },
      routes: routes(idempotent),
    }),
  )

const codeOf = ({ body }: Reply) => JSON.parse(body).code

async function client(gateway: TestGateway) {
  const tokens = Object.fromEntries(
    await Promise.all(TENANTS.map(async (tenant) => [tenant, await tokenFor(tenant)] as const)),
  )
  let made = 0
  return (tenant: string, path = `/api/report/${++made}`) =>
    ask(gateway.url, { path, headers: { authorization: `Bearer ${tokens[tenant]}` } })
}

/** Takes connections and never says a word. */
async function startSilent() {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).resume()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.close()
      for (const socket of sockets) socket.destroy()
      await once(server, 'close')
    },
  }
}

describe('an upstream', () => {
  for (const [name, path] of [
    ['cached', '/api/report/1'],
    ['proxied', '/open/1'],
  ] as const) {
    test(`that says nothing is DEADLINE_EXCEEDED on a ${name} route`, async () => {
      await using silent = await startSilent()
      await using gateway = await start(silent.url, { timeout: '300ms', connectTimeout: '200ms' })
      const reply = await (await client(gateway))('acme', path)
      assert.equal(reply.status, 504)
      assert.equal(codeOf(reply), 'DEADLINE_EXCEEDED')
      assert.ok(reply.tookMs < 3_000)
    })

    test(`that stops within its answer breaks a ${name} one off`, async () => {
      await using origin = await startOrigin((_req, res) => {
        res.writeHead(200, { 'content-length': 100 })
        res.write('half')
      })
      await using gateway = await start(origin.url, { timeout: '300ms', connectTimeout: '200ms' })
      const asked = (await client(gateway))('acme', path)
      if (name === 'proxied') await assert.rejects(asked)
      else assert.equal(codeOf(await asked), 'DEADLINE_EXCEEDED')
      await until(() => origin.aborted === 1, 'the end of the request at the origin')
    })

    test(`that cannot be connected to in time is UPSTREAM_UNREACHABLE on a ${name} route`, async () => {
      await using gateway = await start(NOWHERE, { timeout: '5s', connectTimeout: '200ms' })
      const reply = await (await client(gateway))('acme', path)
      assert.equal(reply.status, 502)
      assert.equal(codeOf(reply), 'UPSTREAM_UNREACHABLE')
      assert.ok(reply.tookMs < 3_000)
    })
  }
})

describe('a breaker', () => {
  const breaker = { window: '10s', volumeThreshold: 6, errorThresholdPercentage: 50, resetTimeout: '300ms' }
  const state = (gateway: TestGateway) => gateway.metric('sluice_breaker_state', { upstream: 'main' })

  test('opens when several tenants meet failures, serves what it has, probes, and closes', async () => {
    let isSick = false
    await using origin = await startOrigin((_req, res) => {
      if (isSick) res.writeHead(503).end('sick')
      else res.end('well')
    })
    await using gateway = await start(origin.url, { breaker: { ...breaker, resetTimeout: '2s' } })
    const as = await client(gateway)
    await as('acme', '/api/short/known')
    assert.equal(await state(gateway), 0)

    isSick = true
    for (let n = 0; n < 6; n++) assert.equal((await as(TENANTS[n % 2]!)).status, 503)
    assert.equal(await state(gateway), 2)
    const seenBefore = origin.seen.length
    for (const path of ['/api/report/x', '/open/x']) {
      const refused = await as('initech', path)
      assert.equal(refused.status, 503)
      assert.equal(codeOf(refused), 'BREAKER_OPEN')
      assert.match(String(refused.headers['retry-after']), /^[12]$/)
    }
    const isStale = async () => !/^hit; ttl/.test((await as('acme', '/api/short/known')).cache)
    await until(isStale, 'the end of its ttl')
    const stale = await as('acme', '/api/short/known')
    assert.equal(stale.body, 'well')
    assert.match(stale.cache, /^hit; fwd=stale; ttl=-\d+; detail=error$/)
    assert.equal(origin.seen.length, seenBefore)

    isSick = false
    await until(async () => (await as('initech')).status === 200, 'a probe')
    assert.equal(await state(gateway), 0)
    await gateway.logged((line) => line.upstream === 'main' && line.state === 'closed')
    assert.equal((await as('acme')).status, 200)
  })

  test('is half-open while one request tells whether all is well, and opens again for longer when it is not', async () => {
    let { promise: mayAnswer, resolve: answer } = Promise.withResolvers<number>()
    await using origin = await startOrigin(async (req, res) => {
      res.writeHead(req.url!.includes('probe') ? await mayAnswer : 503).end()
    })
    await using gateway = await start(origin.url, { breaker })
    const as = await client(gateway)
    for (let n = 0; n < 6; n++) await as(TENANTS[n % 2]!)
    assert.equal(await state(gateway), 2)

    /** Asks until a request gets through: then the breaker waits for it. */
    const probe = async (tenant: string, path: string) => {
      const seenBefore = origin.seen.length
      let asked = as(tenant, path)
      await until(async () => {
        await Promise.race([asked, origin.arrived(seenBefore + 1)])
        if (origin.seen.length > seenBefore) return true
        asked = as(tenant, path)
        return false
      }, 'a probe')
      assert.equal(await state(gateway), 1)
      return { asked }
    }
    const failing = await probe('initech', '/api/report/probe-1')
    answer(503)
    assert.equal((await failing.asked).status, 503)
    assert.equal(await state(gateway), 2)
    ;({ promise: mayAnswer, resolve: answer } = Promise.withResolvers<number>())
    const working = await probe('acme', '/api/report/probe-2')
    answer(200)
    assert.equal((await working.asked).status, 200)
    assert.equal(await state(gateway), 0)
  })

  test('closes by the head of a probe that streams on a proxied route', async () => {
    let isSick = true
    await using origin = await startOrigin((req, res) => {
      if (isSick) res.writeHead(503).end()
      else if (req.url === '/open/events') res.writeHead(200).write('data: one\n\n')
      else res.end('well')
    })
    await using gateway = await start(origin.url, { breaker })
    const as = await client(gateway)
    for (let n = 0; n < 6; n++) await as(TENANTS[n % 2]!)
    assert.equal(await state(gateway), 2)
    isSick = false
    await until(async () => {
      using events = await openRaw(gateway.url)
      events.write('GET /open/events HTTP/1.1\r\nHost: a\r\n\r\n')
      const head = await events.until(/^HTTP\/1\.1 \d+ [\s\S]*\r\n\r\n/)
      if (head.startsWith('HTTP/1.1 503')) return false
      // The stream has not ended, and everybody may come.
      assert.equal(await state(gateway), 0)
      assert.equal((await as('acme', '/open/x')).status, 200)
      return true
    }, 'a probe')
  })

  test('stays closed when one tenant alone meets failures while others are answered', async () => {
    await using origin = await startOrigin((req, res) => {
      if (req.headers['x-tenant-id'] === 'acme') res.writeHead(503)
      res.end()
    })
    await using gateway = await start(origin.url, { breaker })
    const as = await client(gateway)
    for (let n = 0; n < 20; n++) {
      assert.equal((await as('acme')).status, 503)
      if (n % 4 === 0) assert.equal((await as('globex')).status, 200)
    }
    assert.equal(await state(gateway), 0)
  })

  test('opens on an upstream that is not there', async () => {
    await using gateway = await start(`http://127.0.0.1:${await freePort()}`, { breaker })
    const as = await client(gateway)
    await until(async () => codeOf(await as('acme')) === 'BREAKER_OPEN', 'the breaker opening')
    assert.equal(await state(gateway), 2)
  })
})

describe('a retry', () => {
  const retries = { attempts: 3, baseDelay: '5ms', maxDelay: '5s', budget: 1 }

  test('is made for an idempotent route, and counted', async () => {
    let failures = 2
    await using origin = await startOrigin((_req, res) => {
      if (failures-- > 0) res.destroy()
      else res.end('third')
    })
    await using gateway = await start(origin.url, { retries })
    const reply = await (await client(gateway))('acme')
    assert.equal(reply.body, 'third')
    assert.equal(origin.seen.length, 3)
    assert.equal(await gateway.metric('sluice_upstream_retries_total', { upstream: 'main' }), 2)
  })

  test('is never made for a route that is not, nor for a proxied POST', async () => {
    await using origin = await startOrigin((_req, res) => void res.destroy())
    await using gateway = await start(origin.url, { retries }, false)
    const reply = await (await client(gateway))('acme')
    assert.equal(codeOf(reply), 'UPSTREAM_INVALID')
    assert.equal(origin.seen.length, 1)
    await ask(gateway.url, { method: 'POST', path: '/open/x', body: 'x' })
    assert.equal(origin.seen.length, 2)
  })

  test('waits as long as the upstream’s Retry-After says', async () => {
    const arrivals: number[] = []
    await using origin = await startOrigin((_req, res) => {
      arrivals.push(performance.now())
      if (arrivals.length === 1) res.writeHead(503, { 'retry-after': '1' }).end()
      else res.end('now')
    })
    await using gateway = await start(origin.url, { retries })
    assert.equal((await (await client(gateway))('acme')).body, 'now')
    assert.ok(arrivals[1]! - arrivals[0]! >= 990, `${arrivals[1]! - arrivals[0]!} ms`)
  })

  test('is not made when Retry-After is longer than the longest wait; the client is told', async () => {
    await using origin = await startOrigin((_req, res) => void res.writeHead(503, { 'retry-after': '60' }).end('later'))
    await using gateway = await start(origin.url, { retries })
    const as = await client(gateway)
    for (const path of ['/api/report/later', '/open/later']) {
      const reply = await as('acme', path)
      assert.equal(reply.status, 503)
      assert.equal(reply.body, 'later')
    }
    assert.equal(origin.seen.length, 2)
  })

  for (const path of ['/open/later', '/api/report/later']) {
    for (const status of [429, 503]) {
      test(`of ${status} is left to the client where none is made: Retry-After reaches it at ${path}`, async () => {
        await using origin = await startOrigin((_req, res) => void res.writeHead(status, { 'retry-after': '60' }).end())
        await using gateway = await start(origin.url, { retries })
        const reply = await (await client(gateway))('acme', path)
        assert.equal(reply.status, status)
        assert.equal(reply.headers['retry-after'], '60')
      })
    }
  }
})

describe('several addresses', () => {
  const twoOfThem = async (settings: Settings) => {
    await using opening = new AsyncDisposableStack()
    const origin = opening.use(await startOrigin((_req, res) => void res.end('alive')))
    const dead = `http://127.0.0.1:${await freePort()}`
    const retries = { attempts: 2, baseDelay: '1ms' }
    const gateway = opening.use(await start([dead, origin.url], { retries, ...settings }))
    const as = await client(gateway)
    const open = opening.move()
    return { gateway, as, [Symbol.asyncDispose]: () => open.disposeAsync() }
  }

  test('of which one is dead at the start of a storm do not open the breaker', async () => {
    await using two = await twoOfThem({})
    const replies = await Promise.all(Array.from({ length: 40 }, () => two.as('acme')))
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [200])
    assert.equal(await two.gateway.metric('sluice_breaker_state', { upstream: 'main' }), 0)
  })

  test('of which one is dead serve every client', async () => {
    await using two = await twoOfThem({ breaker: { volumeThreshold: 1_000 } })
    const { gateway, as } = two
    const replies = await Promise.all(
      Array.from({ length: 40 }, (_, n) => (n % 2 ? as('acme') : as('acme', `/open/${n}`))),
    )
    assert.deepEqual([...new Set(replies.map(({ body }) => body))], ['alive'])
    for (let n = 0; n < 10; n++) {
      const reply = await ask(gateway.url, { method: 'POST', path: '/open/x', body: 'with a body' })
      assert.equal(reply.body, 'alive')
    }
    await until(async () => (await gateway.metric('sluice_upstream_healthy', { upstream: 'main' })) === 1, 'one out')
  })

  test('share the requests, the least busy first', async () => {
    const { promise: mayAnswer, resolve: answer } = Promise.withResolvers<void>()
    const hold = async (_req: unknown, res: { end(): void }) => {
      await mayAnswer
      res.end()
    }
    await using one = await startOrigin(hold)
    await using two = await startOrigin(hold)
    await using gateway = await start([one.url, two.url], {})
    const as = await client(gateway)
    const asked = Array.from({ length: 10 }, (_, n) => (n < 5 ? as('acme') : as('acme', `/open/${n}`)))
    await Promise.all([one.arrived(5), two.arrived(5)])
    answer()
    for (const reply of await Promise.all(asked)) assert.equal(reply.status, 200)
  })

  test('are taken out and back by health checks', async () => {
    let isWell = true
    const checked = (name: string, wellness: () => boolean) => (req: IncomingMessage, res: ServerResponse) => {
      if (req.url === '/health') return void res.writeHead(wellness() ? 200 : 500).end()
      res.end(name)
    }
    await using one = await startOrigin(checked('one', () => isWell))
    await using two = await startOrigin(checked('two', () => true))
    await using gateway = await start([one.url, two.url], { healthCheck: { path: '/health', interval: '100ms' } })
    const as = await client(gateway)
    const answering = async () => {
      const replies = []
      for (let n = 0; n < 4; n++) replies.push((await as('acme', `/open/${n}`)).body)
      return [...new Set(replies)].sort().join()
    }
    assert.equal(await answering(), 'one,two')
    isWell = false
    await gateway.logged((line) => line.kind === 'health' && line.healthy === false)
    assert.equal(await answering(), 'two')
    isWell = true
    await gateway.logged((line) => line.kind === 'health' && line.healthy === true)
    assert.equal(await answering(), 'one,two')
  })
})
