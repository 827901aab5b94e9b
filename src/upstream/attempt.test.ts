import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, test } from 'node:test'
import { startOrigin } from '../../test/support/origin.ts'
import { answering, deadUrl, open, refusal, startRaw, text } from './upstream.setup.test.ts'

describe('an ask', () => {
  test('goes behind the base path, byte for byte, with the headers it was given and no others', async () => {
    await using origin = await startOrigin()
    await using main = open([`${origin.url}/base/`])
    await text(await main.ask({ target: '/a/../b//c?x=%2F&y=?', headers: ['x-a', '1', 'x-a', '2'] }))
    const { url, rawHeaders, body } = origin.seen[0]!
    assert.equal(url, '/base/a/../b//c?x=%2F&y=?')
    assert.deepEqual(rawHeaders, [
      'host',
      `127.0.0.1:${origin.port}`,
      'connection',
      'keep-alive',
      'x-a',
      '1',
      'x-a',
      '2',
      'content-length',
      '2',
    ])
    assert.equal(body, '{}')
  })

  test('gets status, headers with their duplicates, and body; redirects are not followed', async () => {
    await using origin = await startOrigin(
      (_req, res) => void res.writeHead(302, ['Location', '/x', 'Set-Cookie', 'a', 'Set-Cookie', 'b']).end('moved'),
    )
    await using main = open([origin.url])
    const reply = await main.ask()
    assert.equal(reply.status, 302)
    assert.deepEqual(reply.headers.slice(0, 6), ['location', '/x', 'set-cookie', 'a', 'set-cookie', 'b'])
    assert.equal(await text(reply), 'moved')
    assert.equal(origin.seen.length, 1)
  })

  test('frees its place when its body ends', async () => {
    await using origin = await startOrigin()
    await using main = open([origin.url], { maxConnections: 1 })
    for (let i = 0; i < 5; i++) assert.equal(await text(await main.ask()), '{"rows":[]}')
    assert.equal(main.upstream.state().urls[0]!.busy, 0)
  })

  test('a body is not read faster than it is taken', async () => {
    let written = 0
    await using origin = await startOrigin(async (_req, res) => {
      for (let i = 0; i < 64 && !res.destroyed; i++) {
        written++
        if (!res.write(Buffer.alloc(1024 * 1024)))
          await once(res, 'drain', { signal: AbortSignal.timeout(4_000) }).catch(() => {})
      }
      res.end()
    })
    await using main = open([origin.url])
    const reply = await main.ask()
    await new Promise((resolve) => setTimeout(resolve, 200))
    assert.ok(written < 32, `${written} MiB were taken although nobody read`)
    reply.body.destroy()
  })
})

describe('a body that is cut short', () => {
  for (const [name, head] of [
    ['before its content-length', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'],
    ['before its last chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'],
    [
      'within a chunk, on a connection that closes anyway',
      'HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc',
    ],
    [
      'before its content-length, on a connection that closes anyway',
      'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\nabc',
    ],
  ] as const) {
    for (const [how, end] of [
      ['ended', (socket: Socket) => socket.end()],
      ['reset', (socket: Socket) => socket.resetAndDestroy()],
    ] as const) {
      test(`${name} (${how}) throws UPSTREAM_INVALID when it is read`, async () => {
        await using raw = await answering(head, (socket) => setTimeout(() => end(socket), 20))
        await using main = open([raw.url])
        const reply = await main.ask()
        await assert.rejects(text(reply), refusal('UPSTREAM_INVALID'))
        assert.equal(reply.framed, true)
      })
    }
  }

  test('nobody reading it is no harm', async () => {
    await using raw = await answering('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc', (socket) => socket.end())
    await using main = open([raw.url])
    await main.ask()
    await once(main.news, 'attempt')
    assert.equal(main.upstream.state().urls[0]!.busy, 0)
  })

  test('cannot be told where only the connection ends it, and the reply says so', async () => {
    await using raw = await answering('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc', (socket) => socket.end())
    await using main = open([raw.url])
    const reply = await main.ask()
    assert.equal(reply.framed, false)
    assert.equal(await text(reply), 'abc')
  })
})

describe('an upstream that', () => {
  test('is not there is UPSTREAM_UNREACHABLE', async () => {
    await using main = open([await deadUrl()])
    await assert.rejects(main.ask(), refusal('UPSTREAM_UNREACHABLE'))
  })

  test('hangs up before its head is UPSTREAM_INVALID', async () => {
    await using raw = await startRaw((socket) => socket.once('data', () => socket.destroy()))
    await using main = open([raw.url])
    await assert.rejects(main.ask(), refusal('UPSTREAM_INVALID'))
  })

  test('talks nonsense is UPSTREAM_INVALID', async () => {
    await using raw = await answering('SSH-2.0-OpenSSH\r\n', () => {})
    await using main = open([raw.url])
    await assert.rejects(main.ask(), refusal('UPSTREAM_INVALID'))
  })
})
