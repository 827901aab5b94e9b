import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { after, before, describe, test } from 'node:test'
import { ask, tokenFor } from '../support/client.ts'
import { configFor, getRoute, queryRoute, upstream } from '../support/config.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { startOrigin } from '../support/origin.ts'
import { freePort } from '../support/ports.ts'
import { answersIn, openRaw, talk } from '../support/raw.ts'
import { until } from '../support/until.ts'

const HOST = 'Host: gateway.example\r\n'
const GIB = 1024 ** 3
const MIB = 1024 ** 2
const CHUNK = Buffer.alloc(64 * 1024, 'x')

const routes = [queryRoute(), getRoute(), { name: 'open', match: { path: '/open/*' }, mode: 'proxy', auth: 'none' }]

/** An upstream that streams: unlike support/origin.ts it leaves the body of a request where it is. */
interface Streams extends AsyncDisposable {
  readonly url: string
  readonly server: Server
  answer(script: (req: IncomingMessage, res: ServerResponse) => unknown): void
}

async function startStreams(): Promise<Streams> {
  let script: (req: IncomingMessage, res: ServerResponse) => unknown = (_req, res) => res.end()
  const sockets = new Set<Socket>()
  const server = createServer({ requestTimeout: 0 }, (req, res) => void script(req, res))
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    server,
    answer: (next) => {
      script = next
    },
    [Symbol.asyncDispose]: async () => {
      server.close()
      for (const socket of sockets) socket.destroy() // upgraded ones too
      await once(server, 'close')
    },
  }
}

/** `bytes` bytes from one chunk, as fast as they are taken. `taken` counts them. */
function source(bytes: number, taken = { bytes: 0 }): Readable {
  return new Readable({
    highWaterMark: CHUNK.length,
    read() {
      if (taken.bytes >= bytes) return void this.push(null)
      taken.bytes += CHUNK.length
      this.push(CHUNK)
    },
  })
}

/** The highest memory a process ever had, from the kernel. */
function peakBytes(pid: number): number {
  const found = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(found![1]) * 1024
}

/** Resolves once a count has stopped growing: everything between its source and its drain is full. */
async function untilStill(count: () => number): Promise<void> {
  let last = -1
  let stillFor = 0
  await until(() => {
    stillFor = count() === last ? stillFor + 1 : 0
    last = count()
    return stillFor >= 30
  }, 'the stream standing still')
}

describe('a body that streams', () => {
  let streams: Streams
  let gateway: TestGateway
  let startBytes: number
  before(async () => {
    streams = await startStreams()
    gateway = await startGateway(configFor(streams.url, { routes }))
    startBytes = peakBytes(gateway.pid)
  })
  after(async () => {
    await (gateway as TestGateway | undefined)?.[Symbol.asyncDispose]()
    await streams[Symbol.asyncDispose]()
  })

  /** The whole process, as it stands with its sources and not yet built: 200 MB at its highest. */
  const assertLittleMemory = () => {
    const bytes = peakBytes(gateway.pid)
    assert.ok(bytes < 200e6, `it grew from ${startBytes / 1e6} to ${bytes / 1e6} MB`)
  }

  const send = (path: string, options: { method?: string; body?: Readable; headers?: Record<string, string> } = {}) => {
    const { hostname: host, port } = new URL(gateway.url)
    const { method = 'GET', body, headers = {} } = options
    const req = request({ host, port, path, method, headers, agent: false })
    const answer = once(req, 'response').then(([res]) => res as IncomingMessage)
    if (body) pipeline(body, req).catch(() => {})
    else req.end()
    return { req, answer }
  }

  test('goes up with 2 GiB in little memory', { timeout: 40_000 }, async (t) => {
    const received = { bytes: 0 }
    streams.answer(async (req, res) => {
      req.on('data', (chunk: Buffer) => {
        received.bytes += chunk.length
      })
      await once(req, 'end')
      res.end(String(received.bytes))
    })
    const { answer } = send('/open/up', { method: 'POST', body: source(2 * GIB) })
    let said = ''
    for await (const chunk of await answer) said += chunk
    assert.equal(said, String(2 * GIB))
    assertLittleMemory()
    t.diagnostic(`the gateway's peak: ${peakBytes(gateway.pid) / MIB} MiB; at its start ${startBytes / MIB} MiB`)
  })

  test('comes down with 2 GiB in little memory', { timeout: 40_000 }, async (t) => {
    streams.answer((_req, res) => void pipeline(source(2 * GIB), res).catch(() => {}))
    const res = await send('/open/down').answer
    let bytes = 0
    res.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    await once(res, 'end')
    assert.equal(bytes, 2 * GIB)
    assertLittleMemory()
    t.diagnostic(`the gateway's peak: ${peakBytes(gateway.pid) / MIB} MiB; at its start ${startBytes / MIB} MiB`)
  })

  test('waits for a client that does not read, and goes on when it does', async () => {
    const taken = { bytes: 0 }
    const total = 256 * MIB
    streams.answer((_req, res) => void pipeline(source(total, taken), res).catch(() => {}))
    const res = await send('/open/down').answer
    await untilStill(() => taken.bytes)
    assert.ok(taken.bytes < 64 * MIB, `${taken.bytes / MIB} MiB were taken from the upstream`)
    let bytes = 0
    for await (const chunk of res) bytes += chunk.length
    assert.equal(bytes, total)
    assertLittleMemory()
  })

  test('waits for an upstream that does not read, and goes on when it does', async () => {
    const taken = { bytes: 0 }
    const total = 256 * MIB
    const { promise: mayRead, resolve: read } = Promise.withResolvers<void>()
    streams.answer(async (req, res) => {
      await mayRead
      let bytes = 0
      for await (const chunk of req) bytes += chunk.length
      res.end(String(bytes))
    })
    const { answer } = send('/open/up', { method: 'PUT', body: source(total, taken) })
    await untilStill(() => taken.bytes)
    assert.ok(taken.bytes < 32 * MIB, `${taken.bytes / MIB} MiB were taken from the client`)
    read()
    let said = ''
    for await (const chunk of await answer) said += chunk
    assert.equal(said, String(total))
    assertLittleMemory()
  })

  test('of events brings its head before the first, and each as it happens', async () => {
    const { promise: asked, resolve: ask } = Promise.withResolvers<ServerResponse>()
    streams.answer((_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.flushHeaders()
      ask(res)
    })
    using client = await openRaw(gateway.url)
    client.write(`GET /open/events HTTP/1.1\r\n${HOST}Accept: text/event-stream\r\n\r\n`)
    await client.until('text/event-stream')
    const upstream = await asked
    for (const event of ['one', 'two']) {
      upstream.write(`data: ${event}\n\n`)
      await client.until(`data: ${event}`)
    }
    upstream.end()
    await client.until('0\r\n\r\n')
    assert.equal(answersIn(client.received)[0]!.body, 'data: one\n\ndata: two\n\n')
  })

  test('goes both ways at once', async () => {
    streams.answer((req, res) => void req.pipe(res))
    using client = await openRaw(gateway.url)
    client.write(`POST /open/echo HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`)
    for (const word of ['ping', 'pong']) {
      client.write(`4\r\n${word}\r\n`)
      await client.until(word)
    }
    client.write('0\r\n\r\n')
    await client.until('0\r\n\r\n')
  })

  test('carries trailers both ways, but none that speaks for the gateway', async () => {
    let got: string[] = []
    streams.answer(async (req, res) => {
      res.writeHead(200, { trailer: 'X-Sum' })
      for await (const _ of req);
      got = req.rawTrailers
      res.write('body')
      res.addTrailers({ 'X-Sum': 'down' })
      res.end()
    })
    using client = await openRaw(gateway.url)
    client.write(
      `POST /open/x HTTP/1.1\r\n${HOST}TE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n` +
        '2\r\nhi\r\n0\r\nX-Sum: up\r\nX-Tenant-Id: evil\r\nAuthorization: Bearer evil\r\n\r\n',
    )
    await client.until('X-Sum: down\r\n\r\n')
    assert.deepEqual(got, ['X-Sum', 'up'])
  })

  for (const [name, headers] of [
    ['with a length', { 'content-length': '100' }],
    ['in chunks', {}],
  ] as const) {
    test(`that breaks off ${name} breaks off for the client, and is logged as failed`, async () => {
      streams.answer((_req, res) => {
        res.writeHead(200, headers)
        res.write('half', () => res.destroy())
      })
      const path = `/open/broken/${name.replaceAll(' ', '-')}`
      const received = await talk(gateway.url, `GET ${path} HTTP/1.1\r\n${HOST}\r\n`)
      assert.match(received, /^HTTP\/1\.1 200 /)
      assert.match(received, /half(\r\n)?$/) // and no last chunk
      const line = await gateway.logged((line) => line.log === 'access' && line.path === path)
      assert.equal(line.outcome, 'failed')
    })
  }

  test('that was not begun when the upstream died is UPSTREAM_INVALID', async () => {
    streams.answer((req) => void req.socket.destroy())
    const reply = await ask(gateway.url, { method: 'POST', path: '/open/x', body: 'hello' })
    assert.equal(reply.status, 502)
    assert.equal(JSON.parse(reply.body).code, 'UPSTREAM_INVALID')
  })
})

describe('a proxied request', () => {
  test('arrives as it was sent, whatever its method, path and body', async () => {
    await using origin = await startOrigin((_req, res) => void res.writeHead(207, 'Many Things').end('done'))
    await using gateway = await startGateway(configFor(origin.url, { routes }))
    const path = '/open/a%2Fb/%7euser//x;y=1/?q=%20+a&&b=&q='
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'REPORT', 'PURGE']) {
      const body = method === 'GET' ? '' : `{"method":"${method}"}`
      const reply = await ask(gateway.url, { method, path, body, headers: { 'content-length': `${body.length}` } })
      assert.equal(reply.status, 207)
      assert.equal(reply.body, 'done')
      const seen = origin.seen.at(-1)!
      assert.deepEqual([seen.method, seen.url, seen.body], [method, path, body])
    }
  })

  test('takes the upstream’s request with it when its client leaves, before and within the answer', async () => {
    await using origin = await startOrigin((req, res) => {
      if (req.url === '/open/within') res.write('begun')
    })
    await using gateway = await startGateway(configFor(origin.url, { routes }))
    for (const [n, path] of ['/open/before', '/open/within'].entries()) {
      using client = await openRaw(gateway.url)
      client.write(`GET ${path} HTTP/1.1\r\n${HOST}\r\n`)
      await origin.arrived(n + 1)
      if (path === '/open/within') await client.until('begun')
      client.socket.destroy()
      await until(() => origin.aborted === n + 1, 'the origin was left')
    }
  })

  test('on a cached route is given up upstream when all who wait for it have left', async () => {
    await using origin = await startOrigin(() => {})
    await using gateway = await startGateway(configFor(origin.url, { routes }))
    const get = `GET /api/report/1 HTTP/1.1\r\n${HOST}Authorization: Bearer ${await tokenFor('acme')}\r\n\r\n`
    using one = await openRaw(gateway.url)
    using other = await openRaw(gateway.url)
    one.write(get)
    await origin.arrived(1)
    other.write(get)
    await until(async () => (await gateway.metric('sluice_connections')) >= 2, 'both are there')
    one.socket.destroy()
    assert.equal(origin.aborted, 0)
    other.socket.destroy()
    await until(() => origin.aborted === 1, 'the origin was left')
    assert.equal(origin.seen.length, 1)
  })

  test('loses what was hop-by-hop or named by Connection, and so does its answer', async () => {
    await using origin = await startOrigin((_req, res) => {
      res.writeHead(200, [
        ...['Connection', 'keep-alive, X-Up-Hop', 'X-Up-Hop', '1', 'Keep-Alive', 'timeout=99'],
        ...['Proxy-Authenticate', 'Basic', 'Upgrade', 'h2c', 'X-Kept', 'a', 'X-Kept', 'b', 'Content-Length', '0'],
      ])
      res.end()
    })
    await using gateway = await startGateway(configFor(origin.url, { routes }))
    const [answer] = answersIn(
      await talk(
        gateway.url,
        `GET /open/x HTTP/1.1\r\n${HOST}Connection: close, X-Hop, x-tenant-id\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n` +
          'Proxy-Authorization: Basic eDp5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nX-Kept: a\r\nX-Kept: b\r\n\r\n',
      ),
    )
    const sent = origin.seen[0]!.rawHeaders.filter((_, n) => n % 2 === 0).map((name) => name.toLowerCase())
    for (const name of ['x-hop', 'keep-alive', 'proxy-authorization', 'proxy-connection', 'te']) {
      assert.ok(!sent.includes(name), `${name} reached the upstream`)
    }
    assert.equal(origin.seen[0]!.headers['x-kept'], 'a, b')
    for (const name of ['x-up-hop', 'proxy-authenticate', 'upgrade']) assert.equal(answer!.headers[name], undefined)
    assert.notDeepEqual(answer!.headers['keep-alive'], ['timeout=99'])
    assert.deepEqual(answer!.headers['x-kept'], ['a', 'b'])
    assert.deepEqual(answer!.headers.connection, ['close'])
  })

  test('names its client by the connection, whatever the client says of itself', async () => {
    await using origin = await startOrigin()
    await using gateway = await startGateway(configFor(origin.url, { routes }))
    await talk(
      gateway.url,
      `GET /open/x HTTP/1.1\r\n${HOST}Connection: close\r\nX-Forwarded-For: 6.6.6.6\r\nx_forwarded_for: 6.6.6.6\r\n` +
        'X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Prefix: /evil\r\nX-Real-IP: 6.6.6.6\r\n' +
        'Forwarded: for=6.6.6.6\r\nX-Original-URL: /evil\r\nX-HTTP-Method-Override: DELETE\r\n' +
        'X-Tenant-Id: evil\r\nx_principal_id: evil\r\n\r\n',
    )
    const { headers } = origin.seen[0]!
    assert.equal(headers['x-forwarded-for'], '127.0.0.1')
    assert.equal(headers['x-forwarded-proto'], 'http')
    assert.equal(headers['x-forwarded-host'], 'gateway.example')
    assert.equal(headers.forwarded, 'for=127.0.0.1;proto=http;host="gateway.example"')
    assert.equal(headers.host, new URL(origin.url).host)
    assert.ok(!/evil|6\.6\.6\.6|DELETE/.test(JSON.stringify(headers)), JSON.stringify(headers))
  })

  test('of a trusted proxy names the client that the proxy named', async () => {
    await using origin = await startOrigin()
    await using gateway = await startGateway(
      configFor(origin.url, { routes, server: { trustedProxies: ['127.0.0.0/8'] } }),
    )
    await talk(
      gateway.url,
      `GET /open/x HTTP/1.1\r\n${HOST}Connection: close\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n` +
        'X-Forwarded-Host: bi.example\r\nForwarded: for=1.2.3.4;proto=https\r\nX-Tenant-Id: evil\r\n\r\n',
    )
    const { headers } = origin.seen[0]!
    assert.equal(headers['x-forwarded-for'], '1.2.3.4, 127.0.0.1')
    assert.equal(headers['x-forwarded-proto'], 'https')
    assert.equal(headers['x-forwarded-host'], 'bi.example')
    assert.equal(headers.forwarded, 'for=1.2.3.4;proto=https, for=127.0.0.1;proto=http;host="gateway.example"')
    assert.equal(headers['x-tenant-id'], undefined)
  })

  test('whose upstream is not there is UPSTREAM_UNREACHABLE', async () => {
    const url = `http://127.0.0.1:${await freePort()}`
    await using gateway = await startGateway(configFor(url, { routes }))
    for (const body of ['', 'hello']) {
      const reply = await ask(gateway.url, { method: 'POST', path: '/open/x', body })
      assert.equal(reply.status, 502)
      assert.equal(reply.headers['content-type'], 'application/problem+json')
      assert.equal(JSON.parse(reply.body).code, 'UPSTREAM_UNREACHABLE')
    }
  })

  test('that no route speaks for goes to the first upstream, with the auth that is the default', async () => {
    await using first = await startOrigin((_req, res) => void res.end('first'))
    await using second = await startOrigin((_req, res) => void res.end('second'))
    const upstreams = { first: upstream(first.url), second: upstream(second.url) }
    const config = (auth: Record<string, unknown>) =>
      configFor('', {
        upstreams,
        routes: [{ name: 'two', match: { path: '/two' }, mode: 'proxy', upstream: 'second' }],
        ...auth,
      })
    const headers = { authorization: `Bearer ${await tokenFor('acme')}` }

    await using strict = await startGateway(config({}))
    assert.equal((await ask(strict.url, { path: '/nowhere' })).status, 401)
    assert.equal((await ask(strict.url, { path: '/two' })).status, 401)
    assert.equal((await ask(strict.url, { path: '/nowhere', headers })).body, 'first')
    assert.equal((await ask(strict.url, { path: '/two', headers })).body, 'second')
    assert.equal(first.seen[0]!.headers['x-tenant-id'], 'acme')
    assert.equal(first.seen[0]!.headers['x-principal-id'], 'ana')
  })

  test('carries the caller’s credentials, none, or the gateway’s own, proxied and cached', async () => {
    await using origin = await startOrigin()
    const own = { header: 'Authorization', value: 'Bearer of-the-gateway' }
    const upstreams = {
      forward: upstream(origin.url),
      strip: upstream(origin.url, { credentials: 'strip' }),
      own: upstream(origin.url, { credentials: own }),
    }
    const kinds = ['forward', 'strip', 'own'] as const
    const all = kinds.flatMap((kind) => [
      { name: `${kind}-proxied`, match: { path: `/proxied/${kind}` }, mode: 'proxy', upstream: kind },
      {
        name: `${kind}-cached`,
        match: { path: `/cached/${kind}` },
        mode: 'cache',
        cache: { body: 'none' },
        upstream: kind,
      },
    ])
    await using gateway = await startGateway(configFor('', { upstreams, routes: all }))
    const token = await tokenFor('acme')
    const wanted = { forward: `Bearer ${token}`, strip: undefined, own: 'Bearer of-the-gateway' }
    for (const mode of ['proxied', 'cached']) {
      for (const kind of kinds) {
        const path = `/${mode}/${kind}`
        assert.equal((await ask(gateway.url, { path, headers: { authorization: `Bearer ${token}` } })).status, 200)
        assert.equal(origin.seen.at(-1)!.headers.authorization, wanted[kind], path)
        assert.equal(origin.seen.at(-1)!.headers['x-tenant-id'], 'acme', path)
      }
    }
    // A token in a cookie is a credential too; other cookies are not.
    const cookie = `theme=dark; access_token=${token}`
    await ask(gateway.url, { path: '/proxied/strip?cookie', headers: { cookie } })
    assert.equal(origin.seen.at(-1)!.headers.cookie, 'theme=dark')
    await ask(gateway.url, { path: '/proxied/forward?cookie', headers: { cookie } })
    assert.equal(origin.seen.at(-1)!.headers.cookie, cookie)
  })
})

describe('Expect: 100-continue', () => {
  let streams: Streams
  let gateway: TestGateway
  let token: string
  before(async () => {
    streams = await startStreams()
    gateway = await startGateway(configFor(streams.url, { routes }))
    token = await tokenFor('acme')
  })
  after(async () => {
    await (gateway as TestGateway | undefined)?.[Symbol.asyncDispose]()
    await streams[Symbol.asyncDispose]()
  })
  const echo = (req: IncomingMessage, res: ServerResponse) => void req.pipe(res)
  const head = (path: string, token: string, length = 13) =>
    `POST ${path} HTTP/1.1\r\n${HOST}Authorization: Bearer ${token}\r\nContent-Type: application/json\r\n` +
    `Expect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`

  for (const path of ['/proxied', '/api/query']) {
    test(`is answered on ${path} before the body was sent, then comes the answer`, async () => {
      streams.answer(echo)
      using client = await openRaw(gateway.url)
      client.write(head(path, token))
      await client.until('HTTP/1.1 100 Continue\r\n\r\n')
      client.write('{"dataset":1}')
      await client.until('{"dataset":1}')
      assert.equal(answersIn(client.received)[0]!.status, 200)
    })

    test(`with a bad token is refused on ${path} without having asked for the body, and closed`, async () => {
      const received = await talk(gateway.url, head(path, 'a.b.c'))
      assert.match(received, /^HTTP\/1\.1 401 /)
      assert.match(received, /\r\nconnection: close\r\n/i)
      assert.ok(!received.includes('100 Continue'))
    })
  }

  test('is passed to the upstream, whose refusal comes without a 100', async () => {
    streams.server.once('checkContinue', (_req, res: ServerResponse) => void res.writeHead(417).end('too much'))
    const received = await talk(gateway.url, head('/proxied', token))
    assert.match(received, /^HTTP\/1\.1 417 /)
    assert.match(received, /too much/)
    assert.ok(!received.includes('100 Continue'))
  })

  test('with more than the limit is refused on a cached route without a 100', async () => {
    const received = await talk(gateway.url, head('/api/query', token, 5_000_000))
    assert.match(received, /^HTTP\/1\.1 413 /)
  })
})

describe('a WebSocket', () => {
  let streams: Streams
  let gateway: TestGateway
  let token: string
  const upgrades: IncomingMessage[] = []
  before(async () => {
    streams = await startStreams()
    streams.answer((_req, res) => void res.writeHead(403, { 'x-why': 'no' }).end('not here'))
    gateway = await startGateway(configFor(streams.url, { routes }))
    token = await tokenFor('acme')
  })
  after(async () => {
    await (gateway as TestGateway | undefined)?.[Symbol.asyncDispose]()
    await streams[Symbol.asyncDispose]()
  })

  /** The upstream's part: agrees and sends back what it gets. */
  const echo = (req: IncomingMessage, socket: Socket, head: Buffer) => {
    upgrades.push(req)
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Ws: yes\r\n\r\n')
    socket.write(head)
    socket.pipe(socket)
  }
  const handshake = (path: string, fields = '') =>
    `GET ${path} HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
    `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${fields}\r\n`
  const bearer = () => `Authorization: Bearer ${token}\r\nX-Tenant-Id: evil\r\nX-Forwarded-For: 6.6.6.6\r\n`

  const withEcho = async (run: () => Promise<void>) => {
    streams.server.on('upgrade', echo)
    try {
      await run()
    } finally {
      streams.server.off('upgrade', echo)
    }
  }

  test('carries bytes both ways, the ones sent with the handshake too', () =>
    withEcho(async () => {
      using client = await openRaw(gateway.url)
      client.write(`${handshake('/ws?a=b', bearer())}early `)
      const head = await client.until('early ')
      assert.match(head, /^HTTP\/1\.1 101 /)
      assert.match(head, /\r\nX-Ws: yes\r\n/i)
      for (const word of ['ping ', 'pong ']) {
        client.write(word)
        await client.until(word)
      }
      const { url, headers } = upgrades.at(-1)!
      assert.equal(url, '/ws?a=b')
      assert.equal(headers['x-tenant-id'], 'acme')
      assert.equal(headers['x-forwarded-for'], '127.0.0.1')
      assert.equal(headers['sec-websocket-key'], 'dGhlIHNhbXBsZSBub25jZQ==')
    }))

  test('with its token in a cookie works too', () =>
    withEcho(async () => {
      using client = await openRaw(gateway.url)
      client.write(`${handshake('/ws', `Cookie: access_token=${token}\r\n`)}hello`)
      await client.until('hello')
    }))

  test('without a token gets an answer that is HTTP, and the upstream hears nothing', () =>
    withEcho(async () => {
      const before = upgrades.length
      for (const [fields, code] of [
        ['', 'TOKEN_MISSING'],
        ['Authorization: Bearer a.b.c\r\n', 'TOKEN_INVALID'],
      ] as const) {
        const [answer] = answersIn(await talk(gateway.url, handshake('/ws', fields)))
        assert.equal(answer!.status, 401)
        assert.deepEqual(answer!.headers['content-type'], ['application/problem+json'])
        assert.deepEqual(answer!.headers.connection, ['close'])
        assert.match(String(answer!.headers['www-authenticate']), /^Bearer/)
        assert.equal(JSON.parse(answer!.body).code, code)
      }
      assert.equal(upgrades.length, before)
    }))

  test('that the upstream refuses gets the upstream’s answer', async () => {
    const [answer] = answersIn(await talk(gateway.url, handshake('/ws', bearer())))
    assert.equal(answer!.status, 403)
    assert.deepEqual(answer!.headers['x-why'], ['no'])
    assert.equal(answer!.body, 'not here')
  })

  test('whose upstream is not there gets a problem document', async () => {
    await using gone = await startGateway(configFor(`http://127.0.0.1:${await freePort()}`, { routes }))
    const [answer] = answersIn(await talk(gone.url, handshake('/ws', bearer())))
    assert.equal(answer!.status, 502)
    assert.equal(JSON.parse(answer!.body).code, 'UPSTREAM_UNREACHABLE')
  })

  for (const path of ['/api/report/1', '/_sluice/health/live', '/_sluice/ws']) {
    test(`is not taken at ${path}, and nobody is asked`, () =>
      withEcho(async () => {
        const before = upgrades.length
        let asked = 0
        streams.answer((_req, res) => {
          asked++
          res.end()
        })
        const [answer] = answersIn(await talk(gateway.url, handshake(path, bearer())))
        assert.equal(answer!.status, 400)
        assert.equal(JSON.parse(answer!.body).code, 'REQUEST_INVALID')
        assert.equal(upgrades.length + asked, before)
      }))
  }

  test('with a body is refused: what would stand behind its head could be read in two ways', () =>
    withEcho(async () => {
      const before = upgrades.length
      for (const fields of ['Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n']) {
        const [answer] = answersIn(await talk(gateway.url, handshake('/ws', bearer() + fields)))
        assert.equal(answer!.status, 400, fields)
      }
      assert.equal(upgrades.length, before)
    }))

  test('ends on one side when it ends on the other', () =>
    withEcho(async () => {
      using client = await openRaw(gateway.url)
      client.write(`${handshake('/ws', bearer())}hello`)
      await client.until('hello')
      const upstream = upgrades.at(-1)!.socket
      client.socket.destroy()
      await once(upstream, 'close')

      using other = await openRaw(gateway.url)
      other.write(`${handshake('/ws', bearer())}hello`)
      await other.until('hello')
      upgrades.at(-1)!.socket.destroy()
      await other.end()
    }))

  test('is ended when the gateway shuts down, which ends with 0', () =>
    withEcho(async () => {
      await using leaving = await startGateway(configFor(streams.url, { routes }))
      using client = await openRaw(leaving.url)
      client.write(`${handshake('/ws', bearer())}hello`)
      await client.until('hello')
      const stopped = leaving.stop()
      await client.end()
      assert.equal(await stopped, 0)
    }))
})
