import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { ask, query, tokenFor } from '../support/client.ts'
import { configFor, getRoute, queryRoute } from '../support/config.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { type Origin, startOrigin } from '../support/origin.ts'
import { answersIn, openRaw, type RawAnswer, talk } from '../support/raw.ts'

const HOST = 'Host: gateway.example\r\n'
const CHUNKED = 'Transfer-Encoding: chunked\r\n'
const LIVE = `GET /_sluice/health/live HTTP/1.1\r\n${HOST}\r\n`

const routes = [
  queryRoute(),
  getRoute(),
  { name: 'open', match: { path: '/open/*' }, mode: 'proxy', auth: 'none' },
  { name: 'closed', match: { path: '/closed/*' }, mode: 'deny' },
]

/** What every refusal looks like, whatever refused it. */
function assertProblem({ status, headers, body }: RawAnswer, wantedStatus: number, code: string): void {
  const document = JSON.parse(body)
  assert.equal(status, wantedStatus, body)
  assert.deepEqual(headers['content-type'], ['application/problem+json'])
  assert.deepEqual(headers['cache-control'], ['no-store'])
  assert.deepEqual(headers['content-length'], [String(Buffer.byteLength(body))])
  assert.equal(document.status, wantedStatus)
  assert.equal(document.code, code)
  assert.equal(typeof document.title, 'string')
  assert.match(document.type, new RegExp(`^https://.*#${code.toLowerCase()}$`))
}

describe('a request that two parsers could read in two ways', () => {
  let origin: Origin
  let gateway: TestGateway
  before(async () => {
    origin = await startOrigin()
    gateway = await startGateway(configFor(origin.url, { routes }))
  })
  after(async () => {
    await (gateway as TestGateway | undefined)?.[Symbol.asyncDispose]()
    await origin[Symbol.asyncDispose]()
  })

  const post = (fields: string, body = '') => `POST /open/x HTTP/1.1\r\n${HOST}${fields}\r\n${body}`
  const get = (target: string, fields = HOST) => `GET ${target} HTTP/1.1\r\n${fields}\r\n`
  const chunks = (body: string) => post(CHUNKED, body)

  for (const [name, text] of [
    ['Content-Length and Transfer-Encoding', post(`Content-Length: 5\r\n${CHUNKED}`, '0\r\n\r\n')],
    ['Transfer-Encoding and Content-Length', post(`${CHUNKED}Content-Length: 5\r\n`, '0\r\n\r\n')],
    ['two Content-Lengths', post('Content-Length: 0\r\nContent-Length: 5\r\n', 'hello')],
    ['two equal Content-Lengths', post('Content-Length: 5\r\nContent-Length: 5\r\n', 'hello')],
    ['a list of Content-Lengths', post('Content-Length: 5, 5\r\n', 'hello')],
    ['a signed Content-Length', post('Content-Length: +5\r\n', 'hello')],
    ['a negative Content-Length', post('Content-Length: -5\r\n', 'hello')],
    ['a hexadecimal Content-Length', post('Content-Length: 0x5\r\n', 'hello')],
    ['an empty Content-Length', post('Content-Length:\r\n', 'hello')],
    ['a Content-Length beyond all numbers', post('Content-Length: 99999999999999999999\r\n', 'hello')],
    ['a space before the colon', post('Content-Length : 5\r\n', 'hello')],
    ['a tab before the colon', post('Transfer-Encoding\t: chunked\r\n', '0\r\n\r\n')],
    ['chunked twice in one header', post('Transfer-Encoding: chunked, chunked\r\n', '0\r\n\r\n')],
    ['chunked twice in two headers', post(CHUNKED + CHUNKED, '0\r\n\r\n')],
    ['chunked before identity', post('Transfer-Encoding: chunked, identity\r\n', '0\r\n\r\n')],
    ['identity', post('Transfer-Encoding: identity\r\n', '0\r\n\r\n')],
    ['gzip before chunked', post('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n')],
    ['an unknown coding', post('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n')],
    ['a quoted coding', post('Transfer-Encoding: "chunked"\r\n', '0\r\n\r\n')],
    ['a vertical tab before chunked', post('Transfer-Encoding: \x0bchunked\r\n', '0\r\n\r\n')],
    ['chunks under HTTP/1.0', `POST /open/x HTTP/1.0\r\n${HOST}${CHUNKED}\r\n0\r\n\r\n`],
    ['a folded header', post('X-A: a\r\n Content-Length: 5\r\n', 'hello')],
    ['a folded Transfer-Encoding', post('Transfer-Encoding:\r\n chunked\r\n', '0\r\n\r\n')],
    ['a fold before the first header', `GET /open/x HTTP/1.1\r\n X-A: a\r\n${HOST}\r\n`],
    ['a bare LF behind the request line', `GET /open/x HTTP/1.1\n${HOST}\r\n`],
    ['a bare LF behind a header', post('X-A: a\nContent-Length: 5\r\n', 'hello')],
    ['a bare LF behind the last header', `GET /open/x HTTP/1.1\r\nHost: a\r\n\n`],
    ['a bare CR in a header', post('X-A: a\rContent-Length: 5\r\n', 'hello')],
    ['a NUL in a header', post('X-A: a\0b\r\n')],
    ['a header name with a space', post('X A: a\r\n')],
    ['a header name with a bracket', post('X(A: a\r\n')],
    ['a header without a name', post(': a\r\n')],
    ['a header without a colon', post('X-A\r\n')],
    ['an LF in a chunk extension', chunks('5;a\nb\r\nhello\r\n0\r\n\r\n')],
    ['a CR in a chunk extension', chunks('5;a\rb\r\nhello\r\n0\r\n\r\n')],
    ['a chunk size with a sign', chunks('+5\r\nhello\r\n0\r\n\r\n')],
    ['a chunk size with 0x', chunks('0x5\r\nhello\r\n0\r\n\r\n')],
    ['a chunk size with a space', chunks('5 \r\nhello\r\n0\r\n\r\n')],
    ['a chunk size that overflows', chunks('10000000000000005\r\nhello\r\n0\r\n\r\n')],
    ['a bare LF behind a chunk size', chunks('5\nhello\r\n0\r\n\r\n')],
    ['a chunk longer than its size', chunks('5\r\nhello world\r\n0\r\n\r\n')],
    ['a chunk ended by LF', chunks('5\r\nhello\n0\r\n\r\n')],
    ['two Hosts', get('/open/x', `${HOST}Host: evil.example\r\n`)],
    ['two equal Hosts', get('/open/x', HOST + HOST)],
    ['no Host', get('/open/x', '')],
    ['a Host with a path', get('/open/x', 'Host: a/b\r\n')],
    ['a Host with userinfo', get('/open/x', 'Host: a@b\r\n')],
    ['a list of Hosts', get('/open/x', 'Host: a, b\r\n')],
    ['an absolute target of another host', get('http://evil.example/open/x')],
    ['an absolute target of another scheme', get('file:///open/x')],
    ['an absolute target with userinfo', get('http://gateway.example@evil.example/open/x')],
    ['a target that is no path', get('open/x')],
    ['an authority as the target', get('gateway.example:80')],
    ['a fragment', get('/open/x#y')],
    ['a backslash in the path', get('/open\\x')],
    ['dot segments', get('/open/../closed/x')],
    ['encoded dot segments', get('/open/%2e%2e/closed/x')],
    ['dot segments behind an encoded slash', get('/open/..%2fclosed/x')],
    ['an encoded NUL', get('/open/%00')],
    ['a broken escape', get('/open/%zz')],
    ['a space in the target', get('/open/a b')],
    ['a tab before the target', `GET\t/open/x HTTP/1.1\r\n${HOST}\r\n`],
    ['no version', `GET /open/x\r\n${HOST}\r\n`],
    ['HTTP/0.9', `GET /open/x HTTP/0.9\r\n${HOST}\r\n`],
    ['HTTP/1.2', `GET /open/x HTTP/1.2\r\n${HOST}\r\n`],
    ['HTTP/2.0', `GET /open/x HTTP/2.0\r\n${HOST}\r\n`],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['an unknown method', `BREW /open/x HTTP/1.1\r\n${HOST}\r\n`],
    ['a method in lower case', `get /open/x HTTP/1.1\r\n${HOST}\r\n`],
    ['CONNECT', `CONNECT evil.example:443 HTTP/1.1\r\n${HOST}\r\n`],
    ['TRACE', `TRACE /open/x HTTP/1.1\r\n${HOST}\r\n`],
    ['Connection naming Content-Length', post('Connection: content-length\r\nContent-Length: 5\r\n', 'hello')],
    ['Connection naming Authorization', post('Connection: authorization\r\nContent-Length: 0\r\n')],
    ['an unknown expectation', post('Expect: miracles\r\nContent-Length: 0\r\n')],
  ] as const) {
    test(`for ${name} is refused, the connection closed, and the origin hears nothing`, async () => {
      const seenBefore = origin.seen.length
      // What stands behind it must not be taken for a request either.
      const received = await talk(gateway.url, `${text}GET /open/smuggled HTTP/1.1\r\n${HOST}\r\n`)
      const [answer, ...others] = answersIn(received)
      assert.deepEqual(others, [])
      assertProblem(answer!, 400, 'REQUEST_INVALID')
      assert.deepEqual(answer!.headers.connection, ['close'])
      assert.deepEqual(origin.seen.slice(seenBefore), [])
    })
  }

  test('is not one with chunk extensions, which end at the gateway', async () => {
    using client = await openRaw(gateway.url)
    client.write(chunks('5;name="va;lue"\r\nhello\r\n0;last\r\n\r\n'))
    await client.until('{"rows":[]}')
    assert.equal(origin.seen.at(-1)!.body, 'hello')
  })

  test('is not one with an absolute target of the same host, which goes on as a path', async () => {
    using client = await openRaw(gateway.url)
    client.write(get('http://gateway.example/open/absolute?a=b'))
    await client.until('{"rows":[]}')
    assert.equal(origin.seen.at(-1)!.url, '/open/absolute?a=b')
  })

  test('behind an answer that is under way breaks that answer off, and writes nothing into it', async () => {
    const { promise: mayEnd, resolve: end } = Promise.withResolvers<void>()
    origin.answer(async (_req, res) => {
      res.writeHead(200, { 'content-length': 10 })
      res.write('begin')
      await mayEnd
      res.end('ended')
    })
    using client = await openRaw(gateway.url)
    client.write(get('/open/long'))
    await client.until('begin')
    client.write('NONSENSE\r\n\r\n')
    const received = await client.end()
    end()
    origin.answer((_req, res) => void res.end('{"rows":[]}'))
    assert.ok(received.endsWith('begin'), received)
  })

  test('is logged and counted like every refusal', async () => {
    const countBefore = await gateway.metric('sluice_refusals_total', { code: 'REQUEST_INVALID' })
    await talk(gateway.url, get('/open/x', HOST + HOST))
    assert.equal(await gateway.metric('sluice_refusals_total', { code: 'REQUEST_INVALID' }), countBefore + 1)
  })

  test('is one with more than 128 KiB of headers: HEADERS_TOO_LARGE', async () => {
    for (const fields of [
      `X-A: ${'a'.repeat(140_000)}\r\n`,
      Array.from({ length: 1_500 }, (_, n) => `X-${n}: ${'a'.repeat(90)}\r\n`).join(''),
    ]) {
      const [answer] = answersIn(await talk(gateway.url, get('/open/x', HOST + fields)))
      assertProblem(answer!, 431, 'HEADERS_TOO_LARGE')
    }
    const [answer] = answersIn(await talk(gateway.url, get(`/open/${'a'.repeat(140_000)}`)))
    assertProblem(answer!, 431, 'HEADERS_TOO_LARGE')
  })

  test('is not one with 24 KiB of headers', async () => {
    const reply = await ask(gateway.url, { path: '/_sluice/health/live', headers: { 'x-a': 'a'.repeat(24_000) } })
    assert.equal(reply.status, 200)
  })
})

describe('a connection', () => {
  let origin: Origin
  let gateway: TestGateway
  let token: string
  before(async () => {
    origin = await startOrigin()
    gateway = await startGateway(configFor(origin.url, { routes }))
    token = await tokenFor('acme')
  })
  after(async () => {
    await (gateway as TestGateway | undefined)?.[Symbol.asyncDispose]()
    await origin[Symbol.asyncDispose]()
  })
  const bearer = () => `Authorization: Bearer ${token}\r\n`
  const json = (fields: string, body: string) =>
    `POST /api/query HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n${fields}\r\n${body}`

  for (const [name, text, status, code] of [
    ['without a token', () => json('', 'x'.repeat(300_000)), 401, 'TOKEN_MISSING'],
    ['with a bad token', () => json('Authorization: Bearer a.b.c\r\n', 'x'.repeat(300_000)), 401, 'TOKEN_INVALID'],
    ['with too large a body', () => json(bearer(), 'x'.repeat(1_500_000)), 413, 'BODY_TOO_LARGE'],
    [
      'with too large a body in chunks',
      () =>
        `POST /api/query HTTP/1.1\r\n${HOST}${bearer()}${CHUNKED}\r\n${`10000\r\n${'x'.repeat(65_536)}\r\n`.repeat(24)}0\r\n\r\n`,
      413,
      'BODY_TOO_LARGE',
    ],
    ['with a body that does not parse', () => json(bearer(), '{"a":'), 400, 'BODY_INVALID'],
    [
      'to a closed route',
      () => `POST /closed/x HTTP/1.1\r\n${HOST}Content-Length: 300000\r\n\r\n${'x'.repeat(300_000)}`,
      403,
      'ROUTE_DENIED',
    ],
    [
      'to a path of the gateway that is not there',
      () => `POST /_sluice/nothing HTTP/1.1\r\n${HOST}Content-Length: 300000\r\n\r\n${'x'.repeat(300_000)}`,
      404,
      'NOT_FOUND',
    ],
  ] as const) {
    test(`goes on behind a request ${name}: the next one is answered as itself`, async () => {
      using client = await openRaw(gateway.url)
      client.write(text() + LIVE)
      await client.until('{"status":"ok"}')
      const [refused, next, ...others] = answersIn(client.received)
      assertProblem(refused!, status, code)
      assert.equal(next!.status, 200)
      assert.deepEqual(others, [])
    })
  }

  test('whose body never stops is cut soon after its refusal', { timeout: 10_000 }, async () => {
    using client = await openRaw(gateway.url)
    client.write(`POST /api/query HTTP/1.1\r\n${HOST}${bearer()}${CHUNKED}\r\n`)
    const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`
    const send = () => {
      while (!client.socket.destroyed && client.socket.write(chunk));
    }
    client.socket.on('drain', send)
    send()
    const [answer] = answersIn(await client.end())
    assertProblem(answer!, 413, 'BODY_TOO_LARGE')
  })

  test('answers pipelined requests in their order, however long each takes', async () => {
    const { promise: mayAnswer, resolve: answer } = Promise.withResolvers<void>()
    origin.answer(async (req, res) => {
      if (req.url === '/open/slow') await mayAnswer
      res.end(req.url)
    })
    using client = await openRaw(gateway.url)
    const seenBefore = origin.seen.length
    const get = (path: string, fields = '') => `GET ${path} HTTP/1.1\r\n${HOST}${fields}\r\n`
    client.write(
      get('/open/slow') + get('/open/fast') + LIVE + get('/api/report/1', bearer()) + get('/api/report/2') + LIVE,
    )
    await origin.arrived(seenBefore + 2)
    answer()
    await client.until(/"status":"ok"[\s\S]*"status":"ok"/)
    assert.deepEqual(
      answersIn(client.received).map(({ status, body }) => [status, body.slice(0, 13)]),
      [
        [200, '/open/slow'],
        [200, '/open/fast'],
        [200, '{"status":"ok'],
        [200, '/api/report/1'],
        [401, '{"type":"http'],
        [200, '{"status":"ok'],
      ],
    )
  })

  test('keeps its framing behind HEAD, 204 and 304, proxied and cached', async () => {
    origin.answer((req, res) => {
      if (req.url!.includes('none')) res.writeHead(204).end()
      else if (req.url!.includes('same')) res.writeHead(304, { etag: '"a"' }).end()
      else res.writeHead(200, { 'content-length': 5 }).end('hello')
    })
    const requests = [
      ['HEAD', '/open/body'],
      ['GET', '/open/none'],
      ['GET', '/open/same'],
      ['GET', '/api/report/none'],
      ['HEAD', '/api/report/head'],
      ['GET', '/api/report/head'],
      ['HEAD', '/api/report/head'],
      ['GET', '/api/report/head', 'If-None-Match: *\r\n'],
      ['HEAD', '/closed/x'],
      ['HEAD', '/_sluice/health/live'],
      ['GET', '/_sluice/health/live'],
    ] as const
    using client = await openRaw(gateway.url)
    client.write(
      requests
        .map(([method, path, fields = '']) => `${method} ${path} HTTP/1.1\r\n${HOST}${bearer()}${fields}\r\n`)
        .join(''),
    )
    await client.until('{"status":"ok"}')
    const answers = answersIn(
      client.received,
      requests.map(([method]) => method),
    )
    assert.deepEqual(
      answers.map(({ status, body }) => [status, body.trim()]),
      [
        [200, ''],
        [204, ''],
        [304, ''],
        [204, ''],
        [200, ''],
        [200, 'hello'],
        [200, ''],
        [304, ''],
        [403, ''],
        [200, ''],
        [200, '{"status":"ok"}'],
      ],
    )
    for (const at of [1, 2, 3, 7]) {
      assert.equal(answers[at]!.headers['content-length'], undefined, `${requests[at]}`)
      assert.equal(answers[at]!.headers['transfer-encoding'], undefined, `${requests[at]}`)
    }
    for (const at of [0, 4, 6]) assert.deepEqual(answers[at]!.headers['content-length'], ['5'], `${requests[at]}`)
  })

  test('of HTTP/1.0 gets the same problem document, and is closed', async () => {
    const path = '/api/report/1'
    const [old] = answersIn(await talk(gateway.url, `GET ${path} HTTP/1.0\r\n\r\n`))
    const [today] = answersIn(await talk(gateway.url, `GET ${path} HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`))
    assertProblem(old!, 401, 'TOKEN_MISSING')
    const without = ({ headers: { date, 'x-request-id': id, ...headers }, body }: RawAnswer) => {
      const { requestId, ...document } = JSON.parse(body)
      assert.deepEqual(id, [requestId])
      return { headers: { ...headers, 'content-length': [] }, document }
    }
    assert.deepEqual(without(old!), without(today!))
  })

  test('of HTTP/1.0 gets proxied and cached answers without chunks', async () => {
    origin.answer((_req, res) => {
      res.write('in ')
      res.end('chunks')
    })
    for (const path of ['/open/x', '/api/report/old']) {
      const [answer] = answersIn(await talk(gateway.url, `GET ${path} HTTP/1.0\r\n${bearer()}\r\n`))
      assert.equal(answer!.body, 'in chunks')
      assert.equal(answer!.headers['transfer-encoding'], undefined)
    }
  })

  test('is told nothing by header that a token or a client chose', async () => {
    const odd = 'Ana "Ü" 100%; x=y'
    origin.answer((_req, res) => void res.end('{}'))
    const reply = await query(gateway.url, await tokenFor('acme', { sub: odd }), { dataset: 'odd' })
    assert.equal(reply.status, 200)
    assert.equal(decodeURIComponent(String(origin.seen.at(-1)!.headers['x-principal-id'])), odd)
    assert.match(String(origin.seen.at(-1)!.headers['x-principal-id']), /^[!-~]+$/)
    const nasty = await query(gateway.url, await tokenFor('acme', { sub: 'ana\r\nX-Evil: 1\r\n\r\n' }), {})
    assert.equal(JSON.parse(nasty.body).code, 'TOKEN_INVALID')
    const unknown = await query(gateway.url, await tokenFor('acme\r\nX-Evil: 1'), {})
    assert.equal(JSON.parse(unknown.body).code, 'TENANT_UNKNOWN')
    for (const id of ['a b', '"a"', 'a;b', 'é', 'a'.repeat(129), '\t']) {
      const answered = await ask(gateway.url, { path: '/open/x', headers: { 'x-request-id': id } })
      assert.match(String(answered.headers['x-request-id']), /^[\w-]{8,}$/)
    }
    for (const { headers } of [reply, nasty, unknown]) assert.equal(headers['x-evil'], undefined)
  })

  test('finds health without a token, and NOT_FOUND under every other path of the gateway', async () => {
    for (const path of ['/_sluice/health/live', '/_sluice/health/ready', '/_sluice/health/live?x=y']) {
      const reply = await ask(gateway.url, { path })
      assert.equal(reply.status, 200, path)
      assert.equal(reply.headers['content-type'], 'application/json')
      assert.equal(reply.headers['cache-control'], 'no-store')
      assert.deepEqual(JSON.parse(reply.body), { status: 'ok' })
    }
    const seenBefore = origin.seen.length
    for (const path of ['/_sluice/', '/_sluice/nothing', '//_sluice/nothing', '/%5fsluice/nothing']) {
      const reply = await ask(gateway.url, { path, headers: { authorization: `Bearer ${token}` } })
      assert.equal(reply.status, 404, path)
      assert.equal(JSON.parse(reply.body).code, 'NOT_FOUND')
    }
    assert.equal(origin.seen.length, seenBefore)
  })

  test('asking to speak another protocol than WebSocket is answered in this one', async () => {
    // curl --http2 and Java's HttpClient send this with every first request.
    const upgrade =
      'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n'
    using client = await openRaw(gateway.url)
    origin.answer((_req, res) => void res.end('{"rows":[]}'))
    client.write(`GET /open/x HTTP/1.1\r\n${HOST}${upgrade}\r\n`)
    await client.until('{"rows":[]}')
    assert.equal(origin.seen.at(-1)!.headers.upgrade, undefined)
    assert.equal(origin.seen.at(-1)!.headers['http2-settings'], undefined)
    client.write(json(bearer() + upgrade, '{"dataset":"h2c"}'))
    await client.until(/fwd=uri-miss; stored/)
  })
})

describe('a slow client', () => {
  let origin: Origin
  let gateway: TestGateway
  let token: string
  before(async () => {
    origin = await startOrigin()
    const server = { headersTimeout: '300ms', bodyTimeout: '400ms', maxConnections: 4 }
    gateway = await startGateway(configFor(origin.url, { routes, server }))
    token = await tokenFor('acme')
  })
  after(async () => {
    await (gateway as TestGateway | undefined)?.[Symbol.asyncDispose]()
    await origin[Symbol.asyncDispose]()
  })
  const cached = (fields: string) =>
    `POST /api/query HTTP/1.1\r\n${HOST}Authorization: Bearer ${token}\r\n${fields}\r\n`

  /** Writes a byte at a time for as long as the connection stands. */
  const drip = (write: (text: string) => void, byte: string): Disposable => {
    const timer = setInterval(() => write(byte), 20)
    return { [Symbol.dispose]: () => clearInterval(timer) }
  }

  test('that never finishes its headers is cut after server.headersTimeout', async () => {
    using client = await openRaw(gateway.url)
    client.write(`GET /open/x HTTP/1.1\r\n${HOST}X-Slow: `)
    using _dripping = drip(client.write, 'a')
    const [answer] = answersIn(await client.end())
    assertProblem(answer!, 408, 'BODY_TIMEOUT')
  })

  test('that says nothing at all is cut too', async () => {
    using client = await openRaw(gateway.url)
    await client.end()
  })

  test('that never finishes its next headers is cut', async () => {
    using client = await openRaw(gateway.url)
    client.write(LIVE)
    await client.until('{"status":"ok"}')
    client.write('GET /op')
    using _dripping = drip(client.write, 'e')
    const answers = answersIn(await client.end())
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 408],
    )
  })

  test('that never finishes a body which is read is cut after server.bodyTimeout, however it drips', async () => {
    using client = await openRaw(gateway.url)
    client.write(cached('Content-Length: 10000\r\n'))
    using _dripping = drip(client.write, ' ')
    await client.until('BODY_TIMEOUT')
    const [answer, ...others] = answersIn(await client.end())
    assertProblem(answer!, 408, 'BODY_TIMEOUT')
    assert.deepEqual(others, [])
  })

  test('that stops within a body which streams is cut after server.bodyTimeout', async () => {
    const abortedBefore = origin.aborted
    using client = await openRaw(gateway.url)
    client.write(`POST /open/x HTTP/1.1\r\n${HOST}Content-Length: 10000\r\n\r\nbegin`)
    await client.until('BODY_TIMEOUT')
    const [answer] = answersIn(await client.end())
    assertProblem(answer!, 408, 'BODY_TIMEOUT')
    assert.equal(origin.aborted, abortedBefore + 1)
  })

  test('that goes on sending a body which streams may take as long as it likes', async () => {
    using client = await openRaw(gateway.url)
    client.write(`POST /open/x HTTP/1.1\r\n${HOST}Content-Length: 40\r\n\r\n`)
    {
      using _dripping = drip(client.write, 'a') // 800 ms: twice server.bodyTimeout
      await client.until('{"rows":[]}')
    }
    assert.equal(origin.seen.at(-1)!.body, 'a'.repeat(40))
  })

  test('counts against server.maxConnections, and gives its place back', async () => {
    const clients = []
    for (let n = 0; n < 4; n++) {
      const client = await openRaw(gateway.url)
      client.write(LIVE)
      await client.until('{"status":"ok"}')
      clients.push(client)
    }
    using refused = await openRaw(gateway.url)
    refused.write(LIVE)
    assert.equal(await refused.end(), '')
    clients[0]!.write(LIVE)
    await clients[0]!.until(/"ok"[\s\S]*"ok"/)
    for (const client of clients) client.socket.destroy()
    await untilAnswered(gateway.url)
  })
})

describe('a gateway that shuts down', () => {
  test('answers what runs, and DRAINING to what comes over the same connection', async () => {
    const { promise: mayAnswer, resolve: answer } = Promise.withResolvers<void>()
    await using origin = await startOrigin(async (_req, res) => {
      await mayAnswer
      res.end('finished')
    })
    await using gateway = await startGateway(configFor(origin.url, { routes }))
    using client = await openRaw(gateway.url)
    client.write(`GET /open/x HTTP/1.1\r\n${HOST}\r\n`)
    await origin.arrived(1)
    const stopped = gateway.stop()
    await untilDraining(gateway.adminUrl)
    client.write(`${LIVE.replace('live', 'ready')}${LIVE}GET /open/y HTTP/1.1\r\n${HOST}\r\n`)
    await untilAccepted(client.socket)
    const startedAt = performance.now()
    answer()
    const [first, ...others] = answersIn(await client.end())
    assert.equal(first!.body, 'finished')
    const [ready, live, refused] = others
    assert.deepEqual([ready!.status, ready!.body], [503, '{"status":"draining"}\n'])
    assert.deepEqual([live!.status, live!.body], [200, '{"status":"ok"}\n'])
    assertProblem(refused!, 503, 'DRAINING')
    assert.deepEqual(refused!.headers['retry-after'], ['1'])
    assert.deepEqual(refused!.headers.connection, ['close'])
    assert.equal(await stopped, 0)
    assert.ok(performance.now() - startedAt < 3_000, 'an idle connection held the exit up')
    assert.deepEqual(
      origin.seen.map(({ url }) => url),
      ['/open/x'],
    )
  })

  test('cuts what has not ended after server.drainTimeout, and ends with 0', async () => {
    await using origin = await startOrigin(() => {})
    await using gateway = await startGateway(configFor(origin.url, { routes, server: { drainTimeout: '300ms' } }))
    using client = await openRaw(gateway.url)
    client.write(`GET /open/x HTTP/1.1\r\n${HOST}\r\n`)
    await origin.arrived(1)
    assert.equal(await gateway.stop(), 0)
    assert.equal(await client.end(), '')
  })
})

async function untilDraining(adminUrl: string): Promise<void> {
  while ((await ask(adminUrl, { path: '/readyz' })).status !== 503);
}

async function untilAnswered(url: string): Promise<void> {
  for (;;) {
    const reply = await ask(url, { path: '/_sluice/health/live' }).catch(() => null)
    if (reply?.status === 200) return
  }
}

/** What was written has been given to the kernel, which on loopback is the other side's. */
const untilAccepted = (socket: { write(text: string, done: () => void): unknown }): Promise<void> =>
  new Promise((resolve) => socket.write('', resolve))
