import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import { startOrigin } from '../../test/support/origin.ts'
import { MIB, rawAsk, startGateway } from './passthrough.setup.test.ts'
import { startRaw, until } from './upstream.setup.test.ts'

describe('a WebSocket', () => {
  const HANDSHAKE =
    'GET /ws/../a?b HTTP/1.1\r\nHost: gw\r\nX-A: 1\r\nX-A: 2\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n'
  const SWITCH =
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n'

  /** Agrees to every handshake and sends back whatever comes after it. */
  const startSocketEcho = async () => {
    const heads: string[] = []
    const raw = await startRaw((socket) =>
      socket.once('data', (chunk: Buffer) => {
        const end = chunk.indexOf('\r\n\r\n') + 4
        heads.push(chunk.subarray(0, end).toString())
        socket.write(SWITCH)
        socket.write(chunk.subarray(end))
        socket.pipe(socket)
      }),
    )
    return Object.assign(raw, { heads })
  }

  const shake = async (port: number, early = '') => {
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    socket.write(HANDSHAKE + early)
    let got = ''
    socket.on('data', (chunk) => {
      got += chunk
    })
    await until(() => got.includes('\r\n\r\n'))
    return { socket, got: () => got }
  }

  test('carries frames both ways, the ones sent with the handshake too', async () => {
    await using echo = await startSocketEcho()
    await using gateway = await startGateway(echo.url)
    const { socket, got } = await shake(gateway.port, 'early')
    socket.write('late')
    await until(() => got().endsWith('earlylate'))
    assert.match(got(), /^HTTP\/1\.1 101 /)
    socket.end()
    await until(() => gateway.ends.length === 1)
    assert.deepEqual(gateway.ends, [{ status: 101, failure: 'none', untouched: false }])
  })

  test('is asked for with exactly the given path and headers', async () => {
    await using echo = await startSocketEcho()
    await using gateway = await startGateway(echo.url)
    const { socket } = await shake(gateway.port)
    assert.equal(
      echo.heads[0]!.toLowerCase(),
      `get /ws/../a?b http/1.1\r\nhost: 127.0.0.1:${echo.port}\r\nx-a: 1\r\nx-a: 2\r\nsec-websocket-key: dghlihnhbxbszsbub25jzq==\r\nsec-websocket-version: 13\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`,
    )
    socket.destroy()
  })

  for (const [who, end] of [
    ['client', 'destroy'],
    ['upstream', 'destroy'],
    ['client', 'resetAndDestroy'],
    ['upstream', 'resetAndDestroy'],
  ] as const) {
    test(`ends on both sides when the ${who} ends it (${end})`, async () => {
      await using echo = await startSocketEcho()
      await using gateway = await startGateway(echo.url)
      const { socket } = await shake(gateway.port)
      const [upstream] = echo.sockets
      const [ending, other] = who === 'client' ? [socket, upstream!] : [upstream!, socket]
      ending[end]()
      other.resume()
      await until(() => other.destroyed && gateway.ends.length === 1)
    })
  }

  test('that the upstream refuses gets the upstream’s answer', async () => {
    await using origin = await startOrigin((_req, res) => void res.writeHead(403, { 'x-why': 'no' }).end('go away'))
    await using gateway = await startGateway(origin.url)
    const answer = await rawAsk(gateway.port, HANDSHAKE)
    assert.match(answer, /^HTTP\/1\.1 403 Forbidden\r\nx-why: no\r\n[\s\S]*\r\n\r\n[\s\S]*go away/)
    assert.deepEqual(gateway.ends, [{ status: 403, failure: 'none', untouched: false }])
  })

  test('whose refusal is large does not fill the memory', async () => {
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
    socket.write(HANDSHAKE)
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.ok(written < 32, `${written} MiB were taken although the client read nothing`)
    socket.destroy()
    await until(() => origin.aborted === 1)
  })

  test('to an upstream that is not there is refused by the caller', async () => {
    const { url } = await (async () => {
      await using raw = await startRaw(() => {})
      return raw
    })()
    await using gateway = await startGateway(url)
    assert.match(await rawAsk(gateway.port, HANDSHAKE), /^HTTP\/1\.1 502 /)
    assert.deepEqual(gateway.ends, [{ status: null, failure: 'unreachable', untouched: true }])
  })

  test('whose client leaves during the handshake takes the upstream request with it', async () => {
    await using origin = await startOrigin(() => {})
    await using gateway = await startGateway(origin.url)
    const socket = connect(gateway.port, '127.0.0.1')
    socket.write(HANDSHAKE)
    await origin.arrived(1)
    socket.destroy()
    await until(() => origin.aborted === 1)
  })

  test('of another kind is not passed on', async () => {
    await using origin = await startOrigin()
    await using gateway = await startGateway(origin.url)
    assert.match(
      await rawAsk(gateway.port, HANDSHAKE.replace('Upgrade: websocket', 'Upgrade: h2c')),
      /^HTTP\/1\.1 400 /,
    )
    assert.equal(origin.seen.length, 0)
  })
})
