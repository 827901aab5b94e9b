import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { describe, test } from 'node:test'
import { startOrigin } from '../../test/support/origin.ts'
import { rawAsk, startGateway } from './passthrough.setup.test.ts'
import { startRaw, until } from './upstream.setup.test.ts'

describe('an answer', () => {
  test('keeps status, reason, duplicates and trailers, and loses what was hop-by-hop', async () => {
    await using raw = await startRaw((socket) =>
      socket.once('data', () =>
        socket.write(
          'HTTP/1.1 299 Odd\r\nSet-Cookie: a\r\nX-Hop: 1\r\nSet-Cookie: b\r\nTrailer: X-Sum\r\nKeep-Alive: timeout=9\r\nConnection: X-Hop\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n',
        ),
      ),
    )
    await using gateway = await startGateway(raw.url)
    const answer = await rawAsk(gateway.port, 'GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close\r\n\r\n')
    assert.equal(
      answer,
      'HTTP/1.1 299 Odd\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nDate: now\r\ntrailer: X-Sum\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n',
    )
    assert.deepEqual(gateway.ends, [{ status: 299, failure: 'none', untouched: false }])
  })

  test('with trailers is nothing an HTTP/1.0 client trips over', async () => {
    await using origin = await startOrigin((_req, res) => {
      res.writeHead(200, { trailer: 'x-sum' }).write('a')
      res.addTrailers({ 'x-sum': '7' })
      res.end()
    })
    await using gateway = await startGateway(origin.url)
    assert.match(await rawAsk(gateway.port, 'GET / HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\na$/)
  })

  test('to HEAD, and 204 and 304, end with their head', async () => {
    for (const [method, status] of [
      ['HEAD', 200],
      ['GET', 204],
      ['GET', 304],
    ] as const) {
      await using origin = await startOrigin(
        (_req, res) => void res.writeHead(status, status === 200 ? { 'content-length': 9 } : {}).end(),
      )
      await using gateway = await startGateway(origin.url)
      assert.equal((await fetch(gateway.url, { method })).status, status)
    }
  })

  test('can be added to before it is written', async () => {
    await using origin = await startOrigin()
    await using gateway = await startGateway(origin.url, {
      onHead: (_status, headers) => void headers.push('x-request-id', 'r1'),
    })
    assert.equal((await fetch(gateway.url)).headers.get('x-request-id'), 'r1')
  })

  test('of events arrives event by event, its head before the first', async () => {
    let emit = (_text: string) => {}
    await using origin = await startOrigin((_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
      emit = (text) => void res.write(text)
    })
    await using gateway = await startGateway(origin.url)
    const leaving = new AbortController()
    const answer = await fetch(gateway.url, { signal: leaving.signal })
    const reader = answer.body!.getReader()
    for (const text of ['data: 1\n\n', 'data: 2\n\n']) {
      emit(text)
      assert.equal(Buffer.from((await reader.read()).value!).toString(), text)
    }
    leaving.abort()
    await until(() => origin.aborted === 1)
    assert.equal(gateway.ends[0]!.failure, 'left')
  })

  test('that comes before the body was sent is passed on at once', async () => {
    await using raw = await startRaw((socket) =>
      socket.once('data', () => socket.write('HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\n\r\nno')),
    )
    await using gateway = await startGateway(raw.url)
    const req = request({ port: gateway.port, method: 'POST' }).on('error', () => {})
    req.write('the beginning')
    const [answer] = (await once(req, 'response')) as [IncomingMessage]
    assert.equal(answer.statusCode, 413)
    answer.resume()
    req.destroy()
    await until(() => [...raw.sockets].every((socket) => socket.readableEnded || socket.destroyed))
  })

  for (const [name, head] of [
    ['its length', 'Content-Length: 10\r\n\r\nabc'],
    ['its last chunk', 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'],
  ] as const) {
    test(`that breaks off before ${name} breaks off for the client`, async () => {
      await using raw = await startRaw((socket) =>
        socket.once('data', () =>
          socket.write(`HTTP/1.1 200 OK\r\n${head}`, () => setTimeout(() => socket.destroy(), 30)),
        ),
      )
      await using gateway = await startGateway(raw.url)
      const answer = await fetch(gateway.url)
      await assert.rejects(answer.text())
      assert.deepEqual(gateway.ends, [{ status: 200, failure: 'invalid', untouched: false }])
    })
  }
})

describe('without an answer', () => {
  test('an upstream that is not there is refused before anything is written, and nothing was touched', async () => {
    const { port } = await (async () => {
      await using raw = await startRaw(() => {})
      return raw
    })()
    await using gateway = await startGateway(`http://127.0.0.1:${port}`)
    const answer = await fetch(gateway.url, { method: 'POST', body: 'abc' })
    assert.deepEqual([answer.status, await answer.text()], [502, 'UPSTREAM_UNREACHABLE'])
    assert.deepEqual(gateway.ends, [{ status: null, failure: 'unreachable', untouched: true }])
  })

  test('an upstream that hangs up is UPSTREAM_INVALID', async () => {
    await using raw = await startRaw((socket) => socket.once('data', () => socket.destroy()))
    await using gateway = await startGateway(raw.url)
    const answer = await fetch(gateway.url, { method: 'POST', body: 'abc' })
    assert.deepEqual([answer.status, await answer.text()], [502, 'UPSTREAM_INVALID'])
    assert.deepEqual(gateway.ends, [{ status: null, failure: 'invalid', untouched: false }])
  })

  test('an upstream that says nothing is DEADLINE_EXCEEDED, and its connection is closed', async () => {
    await using origin = await startOrigin(() => {})
    await using gateway = await startGateway(origin.url, { timeoutMs: 100 })
    const answer = await fetch(gateway.url)
    assert.deepEqual([answer.status, await answer.text()], [504, 'DEADLINE_EXCEEDED'])
    await until(() => origin.aborted === 1)
  })

  test('a client that stops sending is its own fault, not the upstream’s', async () => {
    await using origin = await startOrigin()
    await using gateway = await startGateway(origin.url, { timeoutMs: 100 })
    const answer = await rawAsk(
      gateway.port,
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nConnection: close\r\n\r\nabc',
    ).catch(() => '')
    assert.match(answer, /408/)
    assert.equal(gateway.ends[0]!.failure, 'left')
  })

  test('a signal that aborts rejects with its reason', async () => {
    await using origin = await startOrigin(() => {})
    const leaving = new AbortController()
    await using gateway = await startGateway(origin.url, { signal: leaving.signal })
    const asked = fetch(gateway.url)
    await origin.arrived(1)
    leaving.abort(new Error('drained'))
    assert.equal(await (await asked).text(), 'drained')
    await until(() => origin.aborted === 1)
  })

  test('a client that leaves takes the upstream request with it', async () => {
    await using origin = await startOrigin(() => {})
    await using gateway = await startGateway(origin.url)
    const leaving = new AbortController()
    const asked = fetch(gateway.url, { signal: leaving.signal }).catch(() => {})
    await origin.arrived(1)
    leaving.abort()
    await asked
    await until(() => origin.aborted === 1)
    assert.deepEqual(gateway.ends, [{ status: null, failure: 'left', untouched: false }])
  })

  test('a client that leaves in the middle of its body does too', async () => {
    await using raw = await startRaw(() => {})
    await using gateway = await startGateway(raw.url)
    const req = request({ port: gateway.port, method: 'POST' }).on('error', () => {})
    req.write('abc')
    await until(() => raw.sockets.size === 1)
    const [socket] = raw.sockets
    await once(socket!, 'data')
    req.destroy()
    await once(socket!.resume(), 'close')
  })
})

test('connections are kept, and one that has gone meanwhile is replaced for a safe request', async () => {
  let connections = 0
  await using raw = await startRaw((socket) => {
    connections++
    let asked = 0
    socket.on('data', () => {
      if (connections === 1 && ++asked === 3) socket.destroy()
      else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
  })
  await using gateway = await startGateway(raw.url)
  for (let i = 0; i < 2; i++) assert.equal(await (await fetch(gateway.url)).text(), 'ok')
  assert.equal(connections, 1)
  assert.equal(await (await fetch(gateway.url)).text(), 'ok')
  assert.equal(connections, 2)
  assert.deepEqual(new Set(gateway.ends.map(({ failure }) => failure)), new Set(['none']))
})
