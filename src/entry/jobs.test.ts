import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readlinkSync, rmSync, truncateSync } from 'node:fs'
import { Agent, createServer, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, afterEach, describe, test } from 'node:test'
import { zstdDecompressSync } from 'node:zlib'
import { ask } from '../../test/support/client.ts'
import { until } from '../../test/support/until.ts'
import type { Refusal } from '../kernel/errors.ts'
import type { JobEvents } from '../request/delivery.ts'
import { jobHouse } from '../request/jobs.fixture.ts'
import type { AccessLine } from '../telemetry/access.ts'
import { Tally } from '../telemetry/tally.ts'
import { Passthrough } from '../upstream/passthrough.ts'
import { Accounts } from './account.ts'
import { Cors } from './cors.ts'
import { EventStreams } from './events.ts'
import { HttpCall } from './http-call.ts'
import { DataServer } from './server.ts'

type Events = JobEvents['events']

const EVENTS = { authorization: 'acme ana', accept: 'text/event-stream' }
const BOUNDS = { maxBytes: 1_000_000, timeoutMs: 10_000 }

const passthrough = new Passthrough()
after(() => passthrough.close())

const opened: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of opened.splice(0)) await close()
})

/** The data port, with a clock that stands still: nothing happens but what is pushed. */
async function setup({ cors = null as Cors | null } = {}) {
  const home = jobHouse()
  const { house } = home
  const lines: AccessLine[] = []
  const { metrics, tenantLabels: labels } = house
  const accounts = new Accounts({ metrics, tally: new Tally(metrics), labels, log: (line) => lines.push(line) })
  const server = new DataServer(
    house,
    accounts,
    passthrough,
    { bodyBounds: BOUNDS, cors },
    { host: '127.0.0.1', port: 0, headersTimeoutMs: 5_000, maxConnections: 100, drainTimeoutMs: 20_000 },
  )
  await server.listen()
  const url = `http://127.0.0.1:${server.port}`
  opened.push(async () => {
    await server.drain()
    home.close()
  })
  const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    ask(url, { method, path, headers: { authorization: 'acme ana', ...headers } })
  /** The head of an answer, and its body as it comes. */
  const open = async (path: string, headers: Record<string, string>, agent?: Agent) => {
    const req = request(`${url}${path}`, { headers, ...(agent && { agent }) }).end()
    const [res] = (await once(req, 'response')) as [IncomingMessage]
    let text = ''
    res.on('data', (chunk) => {
      text += chunk
    })
    res.on('error', () => {})
    const said = (wanted: string) => until(() => text.includes(wanted), `"${wanted}"`)
    return { res, said, text: () => text, leave: () => req.destroy() }
  }
  const logged = (count: number) => until(() => lines.length >= count, `line ${count} of the log`)
  return { ...home, server, url, get, open, lines, logged }
}

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return '' // closed meanwhile
  }
}

const summary = ({ route, status, outcome, code }: AccessLine) => [route, status, outcome, code]

describe('the data port', () => {
  test('streams the events of a job as server-sent events, and logs them once', async () => {
    const { submit, claim, finish, open, lines, logged } = await setup()
    const id = await submit()
    const { res, said, text } = await open(`/_sluice/jobs/${id}`, { ...EVENTS, 'x-request-id': 'mine' })
    assert.equal(res.statusCode, 200)
    assert.equal(res.headers['content-type'], 'text/event-stream')
    assert.equal(res.headers['cache-control'], 'no-store')
    assert.equal(res.headers['x-accel-buffering'], 'no')
    assert.equal(res.headers['x-request-id'], 'mine')
    assert.equal(res.headers['content-length'], undefined)
    await said('event: queued')
    const job = await claim()
    await said('event: running')
    await finish({ how: 'succeeded', result: Buffer.from('rows') }, job)
    await once(res, 'end')
    const [retry, ...events] = text().split('\n\n')
    assert.equal(retry, 'retry: 1000')
    const told = events.map((event) => /^id: (\d+)\nevent: (\w+)\ndata: (\{.*\})$/.exec(event))
    assert.deepEqual(
      told.slice(0, 3).map((event) => [event![1], event![2], JSON.parse(event![3]!).id]),
      [
        ['1', 'queued', id],
        ['2', 'running', id],
        ['3', 'succeeded', id],
      ],
    )
    assert.deepEqual(events.slice(3), [''])
    await logged(1)
    assert.deepEqual(lines.map(summary), [['jobs', 200, 'queued', undefined]])
  })

  test('lets go of a stream whose client leaves', async () => {
    const { submit, open, clock, lines, logged } = await setup()
    const { said, leave } = await open(`/_sluice/jobs/${await submit()}`, EVENTS)
    await said('event: queued')
    assert.equal(clock.sleeping, 1)
    leave()
    await logged(1)
    assert.equal(clock.sleeping, 0)
    assert.deepEqual(lines.map(summary), [['jobs', 200, 'queued', undefined]])
  })

  test('tells an EventSource that comes back after the end that there is no more', async () => {
    const { succeed, get } = await setup()
    const { id } = await succeed(Buffer.from('rows'))
    const reply = await get(`/_sluice/jobs/${id}`, { ...EVENTS, 'last-event-id': '3' })
    assert.equal(reply.status, 204)
    assert.equal(reply.headers['content-length'], undefined)
    assert.equal(reply.body, '')
  })

  test('answers HEAD with the head of GET, and no body', async () => {
    const { succeed, submit, get, clock } = await setup()
    const { id } = await succeed(Buffer.from('region,amount\n'.repeat(2_000)))
    const queued = await submit()
    const varying = ['date', 'x-request-id', 'server-timing', 'keep-alive', 'connection', 'transfer-encoding']
    for (const [path, headers] of [
      ['/_sluice/jobs', {}],
      [`/_sluice/jobs/${id}`, {}],
      [`/_sluice/jobs/${id}/result`, {}],
      [`/_sluice/jobs/${id}/result`, { 'accept-encoding': 'zstd' }],
      [`/_sluice/jobs/${id}`, EVENTS],
      [`/_sluice/jobs/${queued}/result`, {}],
    ] as const) {
      const [full, head] = [await get(path, headers), await get(path, headers, 'HEAD')]
      assert.equal(head.status, full.status)
      assert.equal(head.body, '')
      assert.ok(head.headers['x-request-id'])
      for (const name of varying) {
        delete full.headers[name]
        delete head.headers[name]
      }
      assert.deepEqual(head.headers, full.headers)
    }
    assert.equal((await get(`/_sluice/jobs/${queued}`, EVENTS, 'HEAD')).headers['content-type'], 'text/event-stream')
    assert.equal(clock.sleeping, 0)
  })

  test('passes a result on in the coding it is stored in, or in none', async () => {
    const { succeed, url, get, lines, logged } = await setup()
    const rows = Buffer.from('region,amount\n'.repeat(50_000))
    const { id, stored } = await succeed(rows)
    const plain = await get(`/_sluice/jobs/${id}/result`)
    assert.equal(plain.body, rows.toString())
    assert.equal(plain.headers['content-length'], `${rows.length}`)
    const req = request(`${url}/_sluice/jobs/${id}/result`, {
      headers: { authorization: 'acme ana', 'accept-encoding': 'zstd' },
    }).end()
    const [res] = (await once(req, 'response')) as [IncomingMessage]
    assert.equal(res.headers['content-encoding'], 'zstd')
    assert.equal(res.headers['content-length'], `${stored.bytes}`)
    assert.ok(zstdDecompressSync(Buffer.concat(await res.toArray())).equals(rows))
    await logged(2)
    assert.deepEqual(lines.map(summary), [
      ['jobs', 200, 'hit', undefined],
      ['jobs', 200, 'hit', undefined],
    ])
  })

  test('passes a result that never has a body on without one', async () => {
    const { succeed, get } = await setup()
    const { id } = await succeed(Buffer.alloc(0), { status: 204 })
    const reply = await get(`/_sluice/jobs/${id}/result`)
    assert.equal(reply.status, 204)
    assert.equal(reply.headers['content-length'], undefined)
  })

  test('says 410 of a result that goes before its first byte', async () => {
    const { succeed, house, dir, get, lines } = await setup()
    const { id } = await succeed(randomBytes(20_000))
    const read = house.results.read.bind(house.results)
    house.results.read = async (...args) => {
      const pieces = await read(...args)
      rmSync(join(dir, 'results'), { recursive: true })
      return pieces
    }
    const reply = await get(`/_sluice/jobs/${id}/result`)
    assert.equal(reply.status, 410)
    assert.equal(JSON.parse(reply.body).code, 'RESULT_EXPIRED')
    assert.deepEqual(lines.map(summary), [['jobs', 410, 'refused', 'RESULT_EXPIRED']])
  })

  test('breaks off a result that is not whole, and logs why', async () => {
    for (const headers of [{}, { 'accept-encoding': 'zstd' }]) {
      const { succeed, dir, get, lines, logged } = await setup()
      const { id } = await succeed(Buffer.from(randomBytes(500_000).toString('hex')))
      const [file] = readdirSync(join(dir, 'results'))
      truncateSync(join(dir, 'results', file!), 300_000)
      await assert.rejects(get(`/_sluice/jobs/${id}/result`, headers), /aborted|socket hang up/)
      await logged(1)
      assert.deepEqual(lines.map(summary), [['jobs', 410, 'refused', 'RESULT_EXPIRED']])
    }
  })

  test('lets go of a result whose client leaves, and of its file', async () => {
    const { succeed, url, lines, logged } = await setup()
    const { id } = await succeed(randomBytes(20_000_000))
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.write(`GET /_sluice/jobs/${id}/result HTTP/1.1\r\nHost: x\r\nAuthorization: acme ana\r\n\r\n`)
    await once(socket, 'data')
    socket.pause()
    socket.destroy()
    await logged(1)
    assert.deepEqual(lines.map(summary), [['jobs', 499, 'failed', undefined]])
    const isOpen = () => readdirSync('/proc/self/fd').some((fd) => linkOf(fd).includes(id))
    await until(() => !isOpen(), 'the end of the file')
  })

  test('logs once that a client left what was held for it', async () => {
    const { submit, url, clock, lines, logged } = await setup()
    const headers = { authorization: 'acme ana', prefer: 'wait=20' }
    const req = request(`${url}/_sluice/jobs/${await submit()}`, { headers }).end()
    req.on('error', () => {})
    await until(() => clock.sleeping === 1)
    req.destroy()
    await logged(1)
    assert.equal(clock.sleeping, 0)
    assert.deepEqual(lines.map(summary), [['jobs', 499, 'failed', undefined]])
  })

  test('ends streams and answers what is held as soon as it drains, and waits for no idle connection', async () => {
    const { submit, open, url, server, clock } = await setup()
    const agent = new Agent({ keepAlive: true })
    const id = await submit()
    const { res, said } = await open(`/_sluice/jobs/${id}`, EVENTS, agent)
    await said('event: queued')
    const held = ask(url, {
      path: `/_sluice/jobs/${id}`,
      agent,
      headers: { authorization: 'acme ana', prefer: 'wait=20' },
    })
    await until(() => clock.sleeping === 2)
    const ended = once(res, 'end')
    const startedMs = performance.now()
    await server.drain()
    assert.ok(performance.now() - startedMs < 5_000)
    await ended
    const { body, headers } = await held
    assert.equal(JSON.parse(body).status, 'queued')
    assert.equal(headers.connection, 'close')
    agent.destroy()
  })

  test('refuses, and logs, what it does not know', async () => {
    const { get, lines } = await setup()
    for (const [method, path, status] of [
      ['POST', '/_sluice/jobs', 404],
      ['GET', '/_sluice/jobsx', 404],
      ['GET', '/_sluice/jobs/job_1', 404],
      ['GET', '/_sluice/jobs?limit=0', 400],
    ] as const) {
      const reply = await get(path, {}, method)
      assert.equal(reply.status, status, path)
      assert.equal(reply.headers['content-type'], 'application/problem+json')
    }
    assert.deepEqual(
      lines.map(({ code }) => code),
      ['NOT_FOUND', 'NOT_FOUND', 'JOB_NOT_FOUND', 'REQUEST_INVALID'],
    )
  })

  test('lets pages of allowed origins look after jobs', async () => {
    const cors = new Cors({ origins: ['https://bi.example'], credentials: false, maxAgeMs: 60_000 })
    const { submit, url, open } = await setup({ cors })
    const path = `/_sluice/jobs/${await submit()}`
    const origin = { origin: 'https://bi.example' }
    const preflight = await ask(url, {
      method: 'OPTIONS',
      path,
      headers: { ...origin, 'access-control-request-method': 'DELETE' },
    })
    assert.equal(preflight.status, 204)
    const { res, leave } = await open(path, { ...EVENTS, ...origin })
    assert.equal(res.headers['access-control-allow-origin'], 'https://bi.example')
    leave()
  })
})

describe('streams of events', () => {
  const setupStreams = async ({ max = 10, events }: { max?: number; events: Events }) => {
    const streams = new EventStreams({ max })
    const refused: Refusal[] = []
    const server = createServer(async (req, res) => {
      const call = new HttpCall(
        req,
        res as never,
        { path: req.url!, query: '' },
        0,
        BOUNDS,
        new AbortController().signal,
      )
      const delivery = { kind: 'events', outcome: 'queued', events } as const
      await streams.write(call, res, delivery, null, new AbortController().signal).catch((error) => {
        refused.push(error)
        res.end()
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    opened.push(async () => {
      server.closeAllConnections()
      server.close()
    })
    const { port } = server.address() as { port: number }
    const open = async () => {
      const req = request({ port, host: '127.0.0.1', agent: false }).end()
      const [res] = (await once(req, 'response')) as [IncomingMessage]
      res.resume().on('error', () => {})
      return { isStream: res.headers['content-type'] === 'text/event-stream', leave: () => req.destroy() }
    }
    return { open, refused, port }
  }

  test('are as many as there may be, and whoever leaves makes room', async () => {
    let open = 0
    const { open: ask, refused } = await setupStreams({
      max: 2,
      async *events(signal) {
        open++
        yield { kind: 'open' }
        await once(signal, 'abort')
        open--
      },
    })
    const first = await ask()
    assert.ok((await ask()).isStream)
    assert.equal((await ask()).isStream, false)
    const [refusal] = refused
    assert.deepEqual([refusal!.code, refusal!.retryAfterMs], ['RATE_LIMITED', 5_000])
    assert.match(refusal!.detail!, /2 streams/)
    first.leave()
    await until(() => open === 1, 'the end of the first')
    assert.ok((await ask()).isStream)
  })

  test('pile nothing up for a client that does not read, and let go of it when it leaves', async () => {
    const pieces = { made: 0, isOver: false }
    const { port } = await setupStreams({
      async *events() {
        try {
          yield { kind: 'open' }
          for (;;) {
            pieces.made++
            yield { kind: 'change', revision: 1, document: { detail: 'x'.repeat(100_000) } as never }
          }
        } finally {
          pieces.isOver = true
        }
      },
    })
    const socket = connect(port, '127.0.0.1')
    socket.pause()
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    let before = -1
    await until(() => {
      const isStill = pieces.made > 0 && pieces.made === before
      before = pieces.made
      return isStill
    }, 'a stream that waits')
    assert.ok(pieces.made < 500)
    assert.equal(pieces.isOver, false)
    socket.destroy()
    await until(() => pieces.isOver, 'its end')
  })
})
