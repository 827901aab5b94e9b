import assert from 'node:assert/strict'
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { ask, type Reply, tokenFor, type Wish } from '../support/client.ts'
import { configFor, getRoute, queryRoute } from '../support/config.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { type Origin, startOrigin } from '../support/origin.ts'

const BI = 'https://bi.example'
const OPS = 'https://ops.example'
const EVIL = 'https://evil.example'

const routes = [
  queryRoute(),
  getRoute(),
  { name: 'small', match: { path: '/api/small/:id' }, mode: 'cache', cache: { body: 'none', maxEntrySize: '1KiB' } },
  { name: 'closed', match: { path: '/closed/*' }, mode: 'deny' },
  { name: 'open', match: { path: '/open/*' }, mode: 'proxy', auth: 'none' },
]

/** What an upstream says that has rules of its own. */
const withItsOwn = (res: ServerResponse) =>
  res.writeHead(200, {
    'access-control-allow-origin': 'https://of-the-upstream.example',
    'access-control-allow-credentials': 'false',
    'Access-Control-Expose-Headers': 'X-Upstream',
    vary: 'Origin',
    'x-kept': 'yes',
  })

const preflight = (path: string, origin: string, headers: Wish['headers'] = {}): Wish => ({
  method: 'OPTIONS',
  path,
  headers: { origin, 'access-control-request-method': 'POST', ...headers },
})

const crossOriginOf = (headers: IncomingHttpHeaders) =>
  Object.keys(headers).filter((name) => name.startsWith('access-control-'))

describe('with server.cors', () => {
  let origin: Origin
  let gateway: TestGateway
  let token: string
  before(async () => {
    origin = await startOrigin((req, res) => void withItsOwn(res).end(req.url))
    const cors = { origins: [BI, OPS], credentials: true, maxAge: '5m' }
    gateway = await startGateway(configFor(origin.url, { routes, server: { cors } }))
    token = await tokenFor('acme')
  })
  after(async () => {
    await (gateway as TestGateway | undefined)?.[Symbol.asyncDispose]()
    await origin[Symbol.asyncDispose]()
  })
  const get = (path: string, from: string | null, headers: Wish['headers'] = {}) =>
    ask(gateway.url, {
      path,
      headers: { authorization: `Bearer ${token}`, ...(from !== null && { origin: from }), ...headers },
    })

  const assertAllowed = ({ headers }: Reply, from: string) => {
    assert.equal(headers['access-control-allow-origin'], from)
    assert.equal(headers['access-control-allow-credentials'], 'true')
    assert.match(String(headers['access-control-expose-headers']), /Cache-Status/)
    assert.doesNotMatch(String(headers['access-control-expose-headers']), /X-Upstream/)
    assert.match(String(headers.vary), /\bOrigin\b/)
  }

  for (const path of ['/api/query', '/open/x', '/closed/x', '/nowhere']) {
    test(`a preflight to ${path} is answered without a token, and the upstream hears nothing`, async () => {
      const seenBefore = origin.seen.length
      const reply = await ask(
        gateway.url,
        preflight(path, BI, { 'access-control-request-headers': 'authorization, content-type' }),
      )
      assert.equal(reply.status, 204)
      assert.equal(reply.headers['access-control-allow-origin'], BI)
      assert.equal(reply.headers['access-control-allow-credentials'], 'true')
      assert.match(String(reply.headers['access-control-allow-methods']), /POST/)
      assert.equal(reply.headers['access-control-allow-headers'], 'authorization, content-type')
      assert.equal(reply.headers['access-control-max-age'], '300')
      assert.match(String(reply.headers.vary), /Origin/)
      assert.equal(origin.seen.length, seenBefore)
    })
  }

  for (const from of [
    EVIL,
    'null',
    'http://bi.example',
    'https://bi.example.evil.example',
    'https://bi.example:8443',
  ]) {
    test(`a preflight from ${from} is allowed nothing`, async () => {
      const reply = await ask(gateway.url, preflight('/api/query', from))
      assert.equal(reply.status, 204)
      assert.deepEqual(crossOriginOf(reply.headers), [])
      assert.match(String(reply.headers.vary), /Origin/)
    })
  }

  test('a preflight asking for headers that are none gets none, and cannot write any', async () => {
    const wanted = 'x-a"b;c'
    const reply = await ask(gateway.url, preflight('/api/query', BI, { 'access-control-request-headers': wanted }))
    assert.equal(reply.headers['access-control-allow-headers'], undefined)
  })

  test('one cached answer serves every allowed origin, and those that send none', async () => {
    const miss = await get('/api/report/one', BI)
    const hit = await get('/api/report/one', OPS)
    const plain = await get('/api/report/one', null)
    const foreign = await get('/api/report/one', EVIL)
    assert.equal(miss.cache, 'fwd=uri-miss; stored')
    for (const later of [hit, plain, foreign]) assert.match(later.cache, /^hit/)
    assertAllowed(miss, BI)
    assertAllowed(hit, OPS)
    for (const { headers } of [plain, foreign]) {
      assert.deepEqual(crossOriginOf(headers), [])
      assert.match(String(headers.vary), /\bOrigin\b/)
      assert.equal(headers['x-kept'], 'yes')
    }
  })

  test('a 304, an answer too large to keep and an error of the upstream say it too', async () => {
    const { headers } = await get('/api/report/two', BI)
    const notModified = await get('/api/report/two', OPS, { 'if-none-match': String(headers.etag) })
    assert.equal(notModified.status, 304)
    assertAllowed(notModified, OPS)

    origin.answer((_req, res) => void withItsOwn(res).end('z'.repeat(100_000)))
    const large = await get('/api/small/1', BI)
    assert.equal(large.body.length, 100_000)
    assertAllowed(large, BI)

    origin.answer((_req, res) => {
      res.setHeader('access-control-allow-origin', '*')
      res.writeHead(422).end('no such column')
    })
    const wrong = await get('/api/report/three', BI)
    assert.equal(wrong.status, 422)
    assertAllowed(wrong, BI)
    origin.answer((req, res) => void withItsOwn(res).end(req.url))
  })

  test('a proxied answer loses what its upstream says and keeps the rest', async () => {
    const allowed = await get('/open/x', BI)
    assertAllowed(allowed, BI)
    assert.equal(allowed.headers['x-kept'], 'yes')
    assert.deepEqual(crossOriginOf((await get('/open/x', EVIL)).headers), [])
  })

  test('a page may read why it was refused', async () => {
    for (const [path, headers, status] of [
      ['/api/report/x', { authorization: 'Bearer a.b.c' }, 401],
      ['/closed/x', {}, 403],
      ['/_sluice/nothing', {}, 404],
      ['/open/%2e%2e/x', {}, 400],
    ] as const) {
      const reply = await get(path, BI, headers)
      assert.equal(reply.status, status, path)
      assertAllowed(reply, BI)
      assert.deepEqual(crossOriginOf((await get(path, EVIL, headers)).headers), [])
    }
  })

  test('OPTIONS that is no preflight needs its token, and goes upstream with one', async () => {
    const seenBefore = origin.seen.length
    const bare = await ask(gateway.url, { method: 'OPTIONS', path: '/api/query', headers: { origin: BI } })
    assert.equal(bare.status, 401)
    assert.equal(origin.seen.length, seenBefore)
    const headers = { origin: BI, authorization: `Bearer ${token}` }
    assert.equal((await ask(gateway.url, { method: 'OPTIONS', path: '/api/query', headers })).status, 200)
    assert.equal(origin.seen.at(-1)!.method, 'OPTIONS')
  })
})

test('with server.cors for all origins, * is what every page is told', async () => {
  await using origin = await startOrigin((_req, res) => void withItsOwn(res).end())
  await using gateway = await startGateway(configFor(origin.url, { routes, server: { cors: { origins: ['*'] } } }))
  for (const wish of [preflight('/open/x', EVIL), { path: '/open/x', headers: { origin: EVIL } }]) {
    const { headers } = await ask(gateway.url, wish)
    assert.equal(headers['access-control-allow-origin'], '*')
    assert.equal(headers['access-control-allow-credentials'], undefined)
  }
})

describe('without server.cors', () => {
  let origin: Origin
  let gateway: TestGateway
  before(async () => {
    origin = await startOrigin((_req, res) => void withItsOwn(res).end('of the upstream'))
    gateway = await startGateway(configFor(origin.url, { routes }))
  })
  after(async () => {
    await (gateway as TestGateway | undefined)?.[Symbol.asyncDispose]()
    await origin[Symbol.asyncDispose]()
  })

  for (const path of ['/api/query', '/open/x', '/nowhere']) {
    test(`a preflight to ${path} is passed on without a token, and nobody’s name`, async () => {
      const wish = preflight(path, EVIL, { 'x-tenant-id': 'evil', 'access-control-request-headers': 'authorization' })
      const reply = await ask(gateway.url, wish)
      assert.equal(reply.body, 'of the upstream')
      assert.equal(reply.headers['access-control-allow-origin'], 'https://of-the-upstream.example')
      const { method, headers } = origin.seen.at(-1)!
      assert.equal(method, 'OPTIONS')
      assert.equal(headers.origin, EVIL)
      assert.equal(headers['access-control-request-headers'], 'authorization')
      assert.equal(headers['x-tenant-id'], undefined)
    })
  }

  test('a preflight to a closed route is refused', async () => {
    assert.equal((await ask(gateway.url, preflight('/closed/x', BI))).status, 403)
  })

  test('OPTIONS that is no preflight needs its token', async () => {
    const reply = await ask(gateway.url, { method: 'OPTIONS', path: '/api/query', headers: { origin: BI } })
    assert.equal(reply.status, 401)
  })

  test('what the upstream says stays on proxied and on cached answers', async () => {
    const headers = { authorization: `Bearer ${await tokenFor('acme')}`, origin: BI }
    for (const path of ['/open/x', '/api/report/1', '/api/report/1']) {
      const reply = await ask(gateway.url, { path, headers })
      assert.equal(reply.headers['access-control-allow-origin'], 'https://of-the-upstream.example', path)
    }
  })
})
