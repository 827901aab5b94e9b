import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { startOrigin } from '../../test/support/origin.ts'
import { listen, MIB, rawAsk, startGateway } from './passthrough.setup.test.ts'
import { startRaw, until } from './upstream.setup.test.ts'

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

describe('a passed request', () => {
  test('arrives as it was: path byte for byte, headers in order with duplicates, any method', async () => {
    await using origin = await startOrigin()
    await using gateway = await startGateway(`${origin.url}/base`)
    await rawAsk(
      gateway.port,
      'REPORT /a/../b//%2F?x=1&& HTTP/1.1\r\nHost: gw\r\nX-A: 1\r\nx-b: 2\r\nX-A: 3\r\nConnection: close\r\n\r\n',
    )
    const { method, url, rawHeaders } = origin.seen[0]!
    assert.deepEqual([method, url], ['REPORT', '/base/a/../b//%2F?x=1&&'])
    assert.deepEqual(rawHeaders, [
      'host',
      `127.0.0.1:${origin.port}`,
      'X-A',
      '1',
      'x-b',
      '2',
      'X-A',
      '3',
      'connection',
      'keep-alive',
      'content-length',
      '0',
    ])
  })

  for (const method of ['GET', 'DELETE', 'OPTIONS', 'POST']) {
    test(`a chunked ${method} body stays one body`, async () => {
      await using origin = await startOrigin()
      await using gateway = await startGateway(origin.url)
      const smuggled = 'GET /admin HTTP/1.1\r\nHost: a\r\n\r\n'
      await rawAsk(
        gateway.port,
        `${method} / HTTP/1.1\r\nHost: gw\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n${smuggled.length.toString(16)};ext=1\r\n${smuggled}\r\n0\r\n\r\n`,
      )
      assert.deepEqual(
        origin.seen.map(({ body }) => body),
        [smuggled],
      )
    })
  }

  test('gives its trailers on', async () => {
    let trailers: string[] = []
    await using origin = await startOrigin((req, res) => {
      trailers = req.rawTrailers
      res.end()
    })
    await using gateway = await startGateway(origin.url)
    await rawAsk(
      gateway.port,
      'POST / HTTP/1.1\r\nHost: gw\r\nConnection: close\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 7\r\nAuthorization: 9\r\n\r\n',
    )
    assert.deepEqual(trailers, ['X-Sum', '7'])
  })

  test('192 MiB go up and down with less than 64 MiB held', { timeout: 30_000 }, async () => {
    await using origin = await startEcho()
    await using gateway = await startGateway(origin.url)
    const up = createHash('sha256')
    const down = createHash('sha256')
    let peakBytes = 0
    const chunk = Buffer.alloc(MIB, 'sluice')
    const req = request({ port: gateway.port, method: 'POST' })
    const answered = once(req, 'response')
    const sending = (async () => {
      for (let i = 0; i < 192; i++) {
        up.update(chunk)
        if (!req.write(chunk)) await once(req, 'drain')
      }
      req.end()
    })()
    const [answer] = (await answered) as [IncomingMessage]
    let receivedBytes = 0
    for await (const part of answer) {
      down.update(part)
      receivedBytes += part.length
      if (receivedBytes % (8 * MIB) >= part.length) continue
      collectGarbage() // what counts is what is held, and that within the gateway, its client and its upstream together
      peakBytes = Math.max(peakBytes, process.memoryUsage().arrayBuffers)
    }
    await sending
    assert.equal(down.digest('hex'), up.digest('hex'))
    assert.ok(peakBytes < 64 * MIB, `${peakBytes / MIB} MiB of buffers`)
  })

  test('a client that does not read holds the upstream back', async () => {
    let written = 0
    await using origin = await startOrigin(async (_req, res) => {
      while (written < 64 && !res.destroyed) {
        written++
        if (!res.write(Buffer.alloc(MIB)))
          await once(res, 'drain', { signal: AbortSignal.timeout(2_000) }).catch(() => {})
      }
    })
    await using gateway = await startGateway(origin.url)
    const socket = connect(gateway.port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.ok(written < 32, `${written} MiB were taken although the client read nothing`)
    socket.destroy()
    await until(() => origin.aborted === 1)
  })
})

/** Sends every request body back as it comes. */
async function startEcho() {
  const server = createServer((req, res) => void req.pipe(res.writeHead(200)))
  const port = await listen(server)
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => void server.close().closeAllConnections(),
  }
}

describe('Expect: 100-continue', () => {
  const HEAD = 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n'

  test('is answered when the upstream says so, and the body flows then', async () => {
    await using raw = await startRaw((socket) => {
      let got = ''
      socket.on('data', (chunk) => {
        got += chunk
        if (got.endsWith('\r\n\r\n')) socket.write('HTTP/1.1 100 Continue\r\n\r\n')
        if (got.endsWith('abc'))
          socket.end(`HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n${/expect: 100-continue/i.test(got) ? 'y' : 'n'}`)
      })
    })
    await using gateway = await startGateway(raw.url)
    const socket = connect(gateway.port, '127.0.0.1')
    socket.write(HEAD)
    const [first] = await once(socket, 'data')
    assert.match(`${first}`, /^HTTP\/1\.1 100 /)
    socket.write('abc')
    let rest = ''
    for await (const chunk of socket) rest += chunk
    assert.match(rest, /200 OK[\s\S]*y$/)
  })

  test('a refusal comes without the body having been asked for', async () => {
    await using raw = await startRaw((socket) =>
      socket.once('data', () => socket.write('HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n')),
    )
    await using gateway = await startGateway(raw.url)
    const answer = await rawAsk(gateway.port, HEAD)
    assert.match(answer, /^HTTP\/1\.1 417 No/)
    assert.doesNotMatch(answer, /100/)
  })

  test('an upstream that does not know it gets the body after a second', async () => {
    await using raw = await startRaw((socket) =>
      socket.on(
        'data',
        (chunk) => chunk.toString().endsWith('abc') && socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'),
      ),
    )
    await using gateway = await startGateway(raw.url)
    const socket = connect(gateway.port, '127.0.0.1')
    socket.write(HEAD)
    assert.match(`${(await once(socket, 'data'))[0]}`, /^HTTP\/1\.1 100 /)
    socket.write('abc')
    assert.match(`${(await once(socket, 'data'))[0]}`, /^HTTP\/1\.1 200 /)
    socket.destroy()
  })
})
