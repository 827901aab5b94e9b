import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { ask, query, tokenFor } from '../support/client.ts'
import { configFor, getRoute, queryRoute } from '../support/config.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { type Origin, startOrigin } from '../support/origin.ts'

/** A gateway process on the embedded store in front of a scripted origin. */
describe('a request', () => {
  let origin: Origin
  let gateway: TestGateway
  let token: string
  let made = 0

  before(async () => {
    origin = await startOrigin()
    gateway = await startGateway(
      configFor(origin.url, {
        routes: [
          queryRoute(),
          getRoute(),
          {
            name: 'short',
            match: { path: '/api/short/:id' },
            mode: 'cache',
            cache: {
              body: 'none',
              ttl: '150ms',
              jitter: 0,
              earlyRefresh: { beta: 0 },
              staleWhileRevalidate: '0s',
              staleIfError: '1m',
            },
          },
          {
            name: 'swr',
            match: { path: '/api/swr/:id' },
            mode: 'cache',
            cache: { body: 'none', ttl: '150ms', jitter: 0, staleWhileRevalidate: '1m' },
          },
          {
            name: 'small',
            match: { path: '/api/small/:id' },
            mode: 'cache',
            cache: { body: 'none', maxEntrySize: '1KiB' },
          },
          { name: 'closed', match: { path: '/closed/*' }, mode: 'deny' },
          { name: 'open', match: { path: '/open/*' }, mode: 'proxy', auth: 'none' },
        ],
      }),
    )
    token = await tokenFor('acme')
  })
  after(async () => {
    await (gateway as TestGateway | undefined)?.[Symbol.asyncDispose]()
    await origin[Symbol.asyncDispose]()
  })

  /** A question that no other test asks, and how often the origin has been asked since. */
  const setup = () => {
    const id = `q${++made}`
    const seenBefore = origin.seen.length
    origin.answer((req, res) => {
      res.setHeader('content-type', 'application/json')
      res.end(JSON.stringify({ asked: req.body, url: req.url }))
    })
    return { id, asked: () => origin.seen.length - seenBefore }
  }
  const get = (path: string, headers: Record<string, string> = {}) =>
    ask(gateway.url, { path, headers: { authorization: `Bearer ${token}`, ...headers } })

  test('is a miss that is stored, then a hit with the same bytes', async () => {
    const { id, asked } = setup()
    const miss = await query(gateway.url, token, { dataset: id })
    const hit = await query(gateway.url, token, { dataset: id })
    assert.equal(miss.cache, 'fwd=uri-miss; stored')
    assert.match(hit.cache, /^hit; ttl=\d+$/)
    assert.equal(hit.body, miss.body)
    assert.equal(hit.headers.age, '0')
    assert.equal(asked(), 1)
  })

  test('is the same question whatever the order of its keys and its white space', async () => {
    const { id, asked } = setup()
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    await ask(gateway.url, { method: 'POST', path: '/api/query', headers, body: `{"a":1,"dataset":"${id}"}` })
    const again = await ask(gateway.url, {
      method: 'POST',
      path: '/api/query',
      headers,
      body: `{ "dataset": "${id}",\n "a": 1 }`,
    })
    assert.match(again.cache, /^hit/)
    assert.equal(asked(), 1)
  })

  test('with a body that is no JSON is BODY_INVALID and asks nobody', async () => {
    const { asked } = setup()
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const reply = await ask(gateway.url, { method: 'POST', path: '/api/query', headers, body: '{"a":' })
    assert.equal(reply.status, 400)
    assert.equal(JSON.parse(reply.body).code, 'BODY_INVALID')
    assert.equal(reply.headers['content-type'], 'application/problem+json')
    assert.equal(reply.headers['cache-control'], 'no-store')
    assert.equal(asked(), 0)
  })

  test('with a body over the limit is BODY_TOO_LARGE', async () => {
    const reply = await query(gateway.url, token, { fill: 'x'.repeat(1_100_000) })
    assert.equal(reply.status, 413)
    assert.equal(JSON.parse(reply.body).code, 'BODY_TOO_LARGE')
  })

  test('without a token is TOKEN_MISSING with a challenge', async () => {
    const reply = await ask(gateway.url, { method: 'POST', path: '/api/query', body: '{}' })
    assert.equal(reply.status, 401)
    assert.match(String(reply.headers['www-authenticate']), /^Bearer/)
    assert.equal(JSON.parse(reply.body).code, 'TOKEN_MISSING')
  })

  test('to a closed route is ROUTE_DENIED, however its path is spelled', async () => {
    for (const path of ['/closed/x', '/%63losed/x', '//closed/x']) {
      const reply = await ask(gateway.url, { path })
      assert.equal(reply.status, 403, path)
    }
    assert.equal((await ask(gateway.url, { path: '/open/%2e%2e/closed/x' })).status, 400)
  })

  test('that asks to bypass goes upstream and refreshes the entry', async () => {
    const { id, asked } = setup()
    const body = { dataset: id }
    await query(gateway.url, token, body)
    // `force` is part of the body, so of the key: it refreshes its own entry.
    const forced = await query(gateway.url, token, { ...body, force: true })
    const forcedAgain = await query(gateway.url, token, { ...body, force: true })
    assert.equal(forced.cache, 'fwd=bypass; stored; detail=force')
    assert.equal(forcedAgain.cache, 'fwd=bypass; stored; detail=force')
    assert.equal(asked(), 3)
  })

  test('with the ETag it has is answered 304 without a body, also when stored encoded', async () => {
    const { id } = setup()
    origin.answer((_req, res) => res.end('y'.repeat(5_000)))
    const first = await get(`/api/report/${id}`, { 'accept-encoding': 'gzip' })
    assert.equal(first.headers['content-encoding'], 'gzip')
    const again = await get(`/api/report/${id}`, {
      'accept-encoding': 'gzip',
      'if-none-match': String(first.headers.etag),
    })
    assert.equal(again.status, 304)
    assert.equal(again.body, '')
    const plain = await get(`/api/report/${id}`)
    assert.equal(plain.body, 'y'.repeat(5_000))
    assert.notEqual(plain.headers.etag, first.headers.etag)
    assert.match(String(plain.headers.vary), /accept-encoding/i)
  })

  test('by HEAD is answered from what GET stored', async () => {
    const { id, asked } = setup()
    const got = await get(`/api/report/${id}`)
    const head = await ask(gateway.url, {
      method: 'HEAD',
      path: `/api/report/${id}`,
      headers: { authorization: `Bearer ${token}` },
    })
    assert.match(head.cache, /^hit/)
    assert.equal(head.headers['content-length'], String(got.body.length))
    assert.equal(asked(), 1)
  })

  for (const [why, headers, detail] of [
    ['no-store', { 'cache-control': 'no-store' }, 'no-store'],
    ['varies on everything', { vary: '*' }, 'vary'],
  ] as const) {
    test(`whose answer ${why} is not stored, and says so`, async () => {
      const { id, asked } = setup()
      origin.answer((_req, res) => res.writeHead(200, headers).end('{}'))
      const first = await get(`/api/report/${id}`)
      const second = await get(`/api/report/${id}`)
      assert.equal(first.cache, `fwd=uri-miss; detail=${detail}`)
      assert.equal(second.cache, `fwd=uri-miss; detail=${detail}`)
      assert.equal(asked(), 2)
    })
  }

  test('whose answer is an error is answered as it is and not stored', async () => {
    const { id, asked } = setup()
    origin.answer((_req, res) => res.writeHead(422, { 'content-type': 'text/plain' }).end('no such column'))
    const first = await get(`/api/report/${id}`)
    await get(`/api/report/${id}`)
    assert.equal(first.status, 422)
    assert.equal(first.body, 'no such column')
    assert.equal(asked(), 2)
  })

  test('whose answer sets a cookie gives it to the one who asked upstream and to nobody later', async () => {
    const { id } = setup()
    origin.answer((_req, res) => res.writeHead(200, { 'set-cookie': 'session=secret' }).end('{}'))
    const first = await get(`/api/report/${id}`)
    const second = await get(`/api/report/${id}`)
    assert.deepEqual(first.headers['set-cookie'], ['session=secret'])
    assert.match(second.cache, /^hit/)
    assert.equal(second.headers['set-cookie'], undefined)
  })

  test('whose answer breaks off half way is an error, and stored for nobody', async () => {
    const { id, asked } = setup()
    origin.answer((_req, res) => {
      res.writeHead(200, { 'content-length': '1000' })
      res.write('half')
      res.destroy()
    })
    const broken = await get(`/api/report/${id}`)
    assert.equal(broken.status, 502)
    assert.equal(JSON.parse(broken.body).code, 'UPSTREAM_INVALID')
    origin.answer((_req, res) => res.end('whole'))
    assert.equal((await get(`/api/report/${id}`)).body, 'whole')
    assert.equal(asked(), 2)
  })

  test('whose answer is larger than the route keeps streams through whole', async () => {
    const { id } = setup()
    origin.answer((_req, res) => res.end('z'.repeat(300_000)))
    const reply = await get(`/api/small/${id}`)
    assert.equal(reply.body.length, 300_000)
    assert.equal(reply.cache, 'fwd=uri-miss; detail=size')
  })

  test('is answered stale while one refresh flies', async () => {
    const { id, asked } = setup()
    origin.answer((_req, res) => res.end('old'))
    await get(`/api/swr/${id}`)
    await untilStale(() => get(`/api/swr/${id}`))
    origin.answer((_req, res) => res.end('new'))
    const seenBefore = asked()
    await Promise.all(Array.from({ length: 20 }, () => get(`/api/swr/${id}`)))
    assert.ok(asked() - seenBefore <= 2)
    await until(async () => (await get(`/api/swr/${id}`)).body === 'new')
  })

  test('is answered with the old answer when the upstream is sick, and not when it is only wrong', async () => {
    const { id } = setup()
    origin.answer((_req, res) => res.end('good'))
    await get(`/api/short/${id}`)
    origin.answer((_req, res) => res.writeHead(503).end('sick'))
    await until(async () => /fwd=stale/.test((await get(`/api/short/${id}`)).cache))
    const stale = await get(`/api/short/${id}`)
    assert.equal(stale.status, 200)
    assert.equal(stale.body, 'good')
    assert.match(stale.cache, /^hit; fwd=stale; ttl=-\d+; detail=error$/)
    origin.answer((_req, res) => res.writeHead(400).end('wrong'))
    assert.equal((await get(`/api/short/${id}`)).status, 400)
  })

  test('has an id of its own, or the client’s when that is sane, which the upstream gets too', async () => {
    const { id } = setup()
    const made = await get(`/api/report/${id}`)
    assert.match(String(made.headers['x-request-id']), /^[\w-]{8,}$/)
    const given = await get(`/api/report/${id}-2`, { 'x-request-id': 'abc-123' })
    assert.equal(given.headers['x-request-id'], 'abc-123')
    assert.equal(origin.seen.at(-1)!.headers['x-request-id'], 'abc-123')
    const odd = await get(`/api/report/${id}-3`, { 'x-request-id': 'a"b c' })
    assert.notEqual(odd.headers['x-request-id'], 'a"b c')
  })

  test('is logged in one line without its token, its body or its query', async () => {
    const { id } = setup()
    await get(`/api/report/${id}?password=hunter2`)
    const line = await gateway.logged((line) => line.log === 'access' && line.path === `/api/report/${id}`)
    assert.equal(line.tenant, 'acme')
    assert.equal(line.outcome, 'filled')
    const all = JSON.stringify(gateway.lines)
    assert.ok(!all.includes('hunter2'))
    assert.ok(!all.includes(token.slice(-20)))
  })

  test('is counted by tenant, route and outcome', async () => {
    const { id } = setup()
    const labels = { tenant: 'acme', route: 'report', outcome: 'hit' }
    const hitsBefore = await gateway.metric('sluice_requests_total', labels)
    await get(`/api/report/${id}`)
    await get(`/api/report/${id}`)
    assert.equal((await gateway.metric('sluice_requests_total', labels)) - hitsBefore, 1)
  })
})

async function until(happened: () => Promise<boolean>): Promise<void> {
  for (let n = 0; n < 400; n++) {
    if (await happened()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  assert.fail('it did not happen in 4 s')
}

const untilStale = (get: () => Promise<{ cache: string }>) => until(async () => /fwd=stale/.test((await get()).cache))
