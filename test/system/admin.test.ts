import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { RedisStore } from '../../src/kernel/redis/store.ts'
import { RedisScheduler } from '../../src/queue/scheduler.redis.ts'
import { ask, query, type Reply, tokenFor } from '../support/client.ts'
import { configFor, queryRoute, upstream, WIDE } from '../support/config.ts'
import { type Gate, startGate } from '../support/gate.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { JobClient, openStore, type StoreKind, type TestStore } from '../support/jobs.ts'
import { freePort } from '../support/ports.ts'
import { until } from '../support/until.ts'

const QUEUE = { name: 'report', match: { method: 'POST', path: '/api/job' }, mode: 'queue', class: 'batch' }
/** Its jobs keep their caller's credential, sealed. */
const SEALED = {
  ...{ name: 'sealed', match: { method: 'POST', path: '/api/sealed' }, mode: 'queue', upstream: 'own' },
  submit: { credentialKey: 'a-key-for-tests-only-of-enough-characters' },
}
const TENANTS = {
  default: { ...WIDE, maxConcurrentQueries: 1, maxQueueTime: '5m' },
  plans: { premium: { weight: 4, maxConcurrentQueries: 2, maxQueueSize: 50 } },
  list: { acme: { plan: 'premium' }, globex: {}, initech: {}, umbrella: { paused: true } },
}

interface Told {
  reply: Reply
  status: number
  body: Document
}

// biome-ignore lint/suspicious/noExplicitAny: documents of many shapes, looked into field by field
type Document = any

/** A call of the admin API. */
async function admin(gateway: TestGateway, line: string, body?: unknown): Promise<Told> {
  const [method, path] = line.split(' ') as [string, string]
  const reply = await ask(gateway.adminUrl, {
    ...{ method, path: `/admin/v1/${path}`, headers: { 'content-type': 'application/json' } },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  return { reply, status: reply.status, body: JSON.parse(reply.body) }
}

const idsOf = ({ body }: Told): string[] => body.jobs.map(({ id }: { id: string }) => id)

interface Room {
  gate: Gate
  store: TestStore
  config: string
  gateway: TestGateway
  client: (tenant: string) => JobClient
  admin: (line: string, body?: unknown) => Promise<Told>
}

async function openRoom(kind: StoreKind, open: AsyncDisposableStack, args: string[] = [], server = {}): Promise<Room> {
  const gate = open.use(await startGate())
  const store = await openStore(kind, open)
  const config = configFor(gate.url, {
    ...{ server, store: store.settings, tenants: TENANTS },
    upstreams: {
      main: upstream(gate.url, { credentials: 'strip', breaker: { resetTimeout: '10s', maxResetTimeout: '10m' } }),
      own: upstream(gate.url),
    },
    routes: [QUEUE, SEALED, queryRoute({}, { upstream: 'main' })].map((route) => ({ upstream: 'main', ...route })),
  })
  const gateway = open.use(await startGateway(config, {}, args))
  const tokens = new Map<string, string>()
  for (const tenant of Object.keys(TENANTS.list)) tokens.set(tenant, await tokenFor(tenant))
  const client = (tenant: string) => new JobClient(gateway.url, tokens.get(tenant)!)
  return { gate, store, config, gateway, client, admin: (line, body) => admin(gateway, line, body) }
}

for (const kind of ['embedded', 'redis'] as const) {
  describe(`the admin API over the ${kind} store`, () => {
    const open = new AsyncDisposableStack()
    let room: Room
    before(async () => {
      room = await openRoom(kind, open)
    })
    after(() => open.disposeAsync())

    const submit = async (tenant: string, q: string) => (await room.client(tenant).submit('/api/job', { q })).id

    test('tells what waits and what runs, and lists the jobs of all tenants', async () => {
      const { gate, client } = room
      const acme = []
      for (let nth = 0; nth < 5; nth++) acme.push(await submit('acme', `listed acme ${nth}`))
      const globex = [await submit('globex', 'listed globex 0'), await submit('globex', 'listed globex 1')]
      await until(() => gate.running() === 3, 'as many running as may')

      const queues = (await room.admin('GET queues')).body
      const [first, second] = queues.tenants
      assert.deepEqual(
        [first.tenant, first.running, first.waiting, first.paused, first.limits],
        [
          ...['acme', 2, { interactive: 0, default: 0, batch: 3 }, false],
          { weight: 4, maxConcurrentQueries: 2, softConcurrentQueries: 10_000, maxQueueSize: 50 },
        ],
      )
      assert.ok(first.oldestSeconds >= 0 && first.oldestSeconds < 30)
      assert.deepEqual([second.tenant, second.running, second.waiting.batch], ['globex', 1, 1])
      assert.deepEqual([queues.totals.tenants, queues.totals.running, queues.totals.waiting.batch], [2, 3, 4])
      assert.equal(queues.truncated, false)
      assert.deepEqual(queues.upstreams[0], {
        ...{ name: 'main', breaker: 'closed', retryAt: null, waitUntilAt: null, room: null },
        maxConcurrentQueries: 10_000,
      })

      const all = await room.admin('GET jobs')
      const newestFirst = [...acme, ...globex].sort().reverse()
      assert.deepEqual(idsOf(all), newestFirst)
      assert.equal(all.body.nextCursor, null)
      assert.ok(!all.reply.body.includes('listed')) // no payloads
      assert.deepEqual(idsOf(await room.admin('GET jobs?tenant=globex')), globex.toReversed())
      assert.equal(idsOf(await room.admin('GET jobs?status=running')).length, 3)
      assert.deepEqual(idsOf(await room.admin('GET jobs?tenant=globex&status=queued')), globex.slice(1))
      assert.deepEqual(idsOf(await room.admin('GET jobs?dead=true')), [])

      const paged: string[] = []
      for (let cursor = ''; ; ) {
        const page = await room.admin(`GET jobs?limit=3&cursor=${cursor}`)
        paged.push(...idsOf(page))
        if (page.body.nextCursor === null) break
        cursor = page.body.nextCursor
      }
      assert.deepEqual(paged, newestFirst)

      for (const { name } of gate.asked) gate.letGo(name)
      for (const name of ['listed acme', 'listed globex'])
        for (let nth = 0; nth < 5; nth++) gate.letGo(`${name} ${nth}`)
      for (const [tenant, ids] of [
        ['acme', acme],
        ['globex', globex],
      ] as const)
        for (const id of ids) assert.equal((await client(tenant).ended(id)).status, 'succeeded')
      assert.deepEqual((await room.admin('GET queues')).body.tenants, [])
    })

    test('shows one job, wherever it is, and says of one that is not there that it is not', async () => {
      room.gate.letGo('shown')
      const id = await submit('initech', 'shown')
      const { status, body } = await room.admin(`GET jobs/${id}`)
      assert.deepEqual(
        [status, body.id, body.tenant, body.route, body.class, body.upstream, body.lost],
        [200, id, 'initech', 'report', 'batch', 'main', 0],
      )
      assert.equal((await room.admin(`GET jobs/${id}?tenant=initech`)).body.id, id)
      for (const path of [`jobs/${id}?tenant=acme`, 'jobs/job_01JZZZZZZZZZZZZZZZZZZZZZZZ', 'jobs/x']) {
        const { status, body } = await room.admin(`GET ${path}`)
        assert.deepEqual([status, body.code], [404, 'JOB_NOT_FOUND'])
      }
    })

    for (const [path, allowed] of [
      ['jobs?status=runing', /status: .*queued, running, succeeded/],
      ['jobs?limit=0', /limit: 1 to 1000/],
      ['jobs?limit=many', /limit: 1 to 1000/],
      ['jobs?tenent=acme', /tenent.*tenant; status/],
      ['jobs?cursor=nonsense', /cursor: the nextCursor/],
      ['jobs?tenant=A%20B', /tenant: is no possible name/],
      ['jobs?dead=true&status=failed', /dead stands with tenant and limit alone/],
      ['tenants?limit=1001', /limit: 1 to 1000/],
      ['tenants/A%20B', /"A B" is no possible name/],
      ['tenants/%zz', /broken escape/],
    ] as const) {
      test(`refuses ${path} and names what is allowed`, async () => {
        const { status, body } = await room.admin(`GET ${path}`)
        assert.deepEqual([status, body.code], [400, 'REQUEST_INVALID'])
        assert.match(body.detail, allowed)
      })
    }

    test('names what there is where nothing is', async () => {
      for (const line of ['GET nothing', 'GET jobs/', 'PUT jobs', 'GET jobs/a/b']) {
        const { status, body } = await room.admin(line)
        assert.deepEqual([status, body.code], [404, 'NOT_FOUND'])
        assert.match(body.detail, /POST \/admin\/v1\/jobs\/:id\/cancel/)
      }
    })

    const run = async (tenant: string, q: string, status = 200) => {
      room.gate.letGo(q, (res) => res.writeHead(status).end('said'))
      const id = await submit(tenant, q)
      return room.client(tenant).ended(id)
    }

    test('cancels a queued job, which never runs, and a running one, which is aborted', async () => {
      const { gate, gateway } = room
      const before = await gateway.metric('sluice_jobs_total', { status: 'cancelled' })
      const running = await submit('globex', 'cancelled running')
      const held = await gate.arrival('cancelled running')
      const queued = await submit('globex', 'cancelled queued')
      assert.equal((await room.admin(`POST jobs/${queued}/cancel`)).body.status, 'cancelled')
      assert.equal((await room.admin(`POST jobs/${running}/cancel`)).body.status, 'cancelled')
      assert.equal(await held.over, 'aborted')
      const again = await room.admin(`POST jobs/${running}/cancel`)
      assert.deepEqual([again.status, again.body.status], [200, 'cancelled'])
      await run('globex', 'after the cancelled')
      assert.ok(!gate.names().includes('cancelled queued'))
      assert.equal((await gateway.metric('sluice_jobs_total', { status: 'cancelled' })) - before, 2)
    })

    test('runs a failed job once more, and no other', async () => {
      const { gate, client } = room
      const { id, status } = await run('globex', 'failed', 400)
      assert.equal(status, 'failed')
      gate.letGo('failed', (res) => res.end('at last'))
      const again = await room.admin(`POST jobs/${id}/retry`)
      assert.deepEqual([again.status, again.body.error, again.body.finishedAt], [200, null, null])
      const ended = await client('globex').ended(id)
      assert.deepEqual([ended.status, ended.attempt], ['succeeded', 1])
      assert.equal((await client('globex').result(id)).body, 'at last')

      const { status: refused, body } = await room.admin(`POST jobs/${id}/retry`)
      assert.deepEqual([refused, body.code], [409, 'JOB_NOT_FINISHED'])
      assert.match(body.detail, /is succeeded; what can be run again is a job that failed or expired/)
    })

    test('does not run a job again whose credential is gone', async () => {
      const { gate, client } = room
      gate.letGo('sealed', (res) => res.writeHead(400).end())
      const { id } = await client('initech').submit('/api/sealed', { q: 'sealed' })
      assert.equal((await client('initech').ended(id)).status, 'failed')
      const { status, body } = await room.admin(`POST jobs/${id}/retry`)
      assert.deepEqual([status, body.code], [409, 'JOB_NOT_FINISHED'])
      assert.match(body.detail, /credential/)
    })

    test('forgets a job that has ended, with its result, and no other', async () => {
      const { gate, client } = room
      const running = await submit('globex', 'not to be dropped')
      const held = await gate.arrival('not to be dropped')
      const refused = await room.admin(`DELETE jobs/${running}`)
      assert.deepEqual([refused.status, refused.body.code], [409, 'JOB_NOT_FINISHED'])
      assert.match(refused.body.detail, /is running; cancel it first/)
      held.letGo()
      await client('globex').ended(running)
      assert.deepEqual((await room.admin(`DELETE jobs/${running}`)).body, { dropped: running })
      assert.equal((await room.admin(`GET jobs/${running}`)).status, 404)
      assert.equal((await client('globex').result(running)).status, 404)
    })

    test('tells of the tenants, what each may do and what it has under way', async () => {
      const { gate, client } = room
      const id = await submit('globex', 'of a tenant')
      const held = await gate.arrival('of a tenant')
      const { tenants, nextCursor } = (await room.admin('GET tenants')).body
      assert.deepEqual(
        tenants.map(({ tenant, plan, load }: Document) => [tenant, plan, load.running]),
        [
          ['acme', 'premium', 0],
          ['globex', null, 1],
          ['initech', null, 0],
          ['umbrella', null, 0],
        ],
      )
      assert.equal(nextCursor, null)
      const [page, next] = [
        await room.admin('GET tenants?limit=3'),
        await room.admin('GET tenants?limit=3&cursor=initech'),
      ]
      assert.deepEqual([page.body.tenants.length, page.body.nextCursor], [3, 'initech'])
      assert.deepEqual([next.body.tenants.length, next.body.nextCursor], [1, null])

      const { settings, load, listed } = (await room.admin('GET tenants/acme')).body
      assert.equal(listed, true)
      assert.deepEqual([settings.weight, settings.maxConcurrentQueries, settings.maxQueueTime], [4, 2, '5m'])
      assert.equal(settings.cache.maxBytes, '256MiB')
      assert.deepEqual(load, {
        ...{ running: 0, waiting: { interactive: 0, default: 0, batch: 0 }, oldestSeconds: null },
        paused: false,
      })
      const { status, body } = await room.admin('GET tenants/nobody')
      assert.deepEqual([status, body.code], [404, 'NOT_FOUND'])
      held.letGo()
      await client('globex').ended(id)
    })

    test('opens and closes the breaker of an upstream by hand', async () => {
      const { gateway, client } = room
      const asks = async () => (await query(gateway.url, client('acme').token, { q: crypto.randomUUID() })).status
      room.gate.letGo('undefined')
      const opened = await room.admin('POST upstreams/main/breaker', { state: 'open' })
      assert.deepEqual([opened.status, opened.body.breaker, opened.body.room], [200, 'open', 0])
      const inMs = Date.parse(opened.body.retryAt) - Date.now()
      assert.ok(inMs > 500_000 && inMs <= 600_000, `${inMs}`)
      assert.equal(await asks(), 503)
      const { upstreams } = (await room.admin('GET upstreams')).body
      assert.deepEqual(
        upstreams.map(({ name, breaker, urls }: Document) => [name, breaker, urls[0].healthy]),
        [
          ['main', 'open', true],
          ['own', 'closed', true],
        ],
      )
      const closed = await room.admin('POST upstreams/main/breaker', { state: 'closed' })
      assert.deepEqual([closed.body.breaker, closed.body.retryAt], ['closed', null])

      const none = await room.admin('POST upstreams/other/breaker', { state: 'open' })
      assert.deepEqual([none.status, none.body.code], [404, 'NOT_FOUND'])
      assert.match(none.body.detail, /there are main, own/)
      const bad = await room.admin('POST upstreams/main/breaker', { state: 'ajar' })
      assert.deepEqual([bad.status, bad.body.code], [400, 'BODY_INVALID'])
      assert.match(bad.body.detail, /open \| closed/)
    })
  })
}

describe('the admin API of several processes', () => {
  test('opens the breaker in each of them, and tells what they see together', async () => {
    await using open = new AsyncDisposableStack()
    const { gate, gateway, client, ...room } = await openRoom('redis', open, [], {
      processes: 2,
      port: await freePort(),
    })
    // One after the other, each over a connection of its own: both processes get some.
    const statuses = async () => {
      const seen = new Set<number>()
      for (let nth = 0; nth < 8; nth++) {
        const q = crypto.randomUUID()
        gate.letGo(q)
        seen.add((await query(gateway.url, client('acme').token, { q })).status)
      }
      return seen
    }
    assert.deepEqual([...(await statuses())], [200])
    assert.equal((await room.admin('POST upstreams/main/breaker', { state: 'open' })).body.breaker, 'open')
    assert.deepEqual([...(await statuses())], [503])
    const [main] = (await room.admin('GET upstreams')).body.upstreams
    assert.deepEqual([main.breaker, main.room, main.urls.length], ['open', 0, 1])
    assert.equal((await room.admin('POST upstreams/main/breaker', { state: 'closed' })).body.breaker, 'closed')
    assert.deepEqual([...(await statuses())], [200])
  })
})

describe('the admin API and poisoned jobs', () => {
  const MAIN = { name: 'main', width: 10_000, allow: 10, avoid: [] }

  test('lists them, runs one once more and forgets another', async () => {
    await using open = new AsyncDisposableStack()
    const { gate, store, config, client, ...room } = await openRoom('redis', open, ['--role', 'gateway'])
    const [first, second] = [
      (await client('acme').submit('/api/job', { q: 'poison' })).id,
      (await client('acme').submit('/api/job', { q: 'more poison' })).id,
    ]
    await poison(store.redis!.url, 2, open)

    const dead = await room.admin('GET jobs?dead=true')
    assert.deepEqual(idsOf(dead).sort(), [first, second].sort())
    const [document] = dead.body.jobs
    assert.deepEqual([document.status, document.error.code, document.lost], ['failed', 'JOB_POISONED', 3])
    assert.deepEqual(idsOf(await room.admin('GET jobs?dead=true&tenant=globex')), [])
    assert.equal(idsOf(await room.admin('GET jobs?dead=true&limit=1')).length, 1)

    assert.deepEqual((await room.admin(`DELETE jobs/${second}`)).body, { dropped: second })
    const again = await room.admin(`POST jobs/${first}/retry`)
    assert.deepEqual([again.body.status, again.body.lost, again.body.position], ['queued', 0, 1])
    assert.deepEqual(idsOf(await room.admin('GET jobs?dead=true')), [])

    gate.letGo('poison')
    open.use(await startGateway(config, {}, ['--role', 'worker']))
    const { status, attempt } = await client('acme').ended(first)
    assert.deepEqual([status, attempt], ['succeeded', 1])
  })

  /** A worker that takes all jobs there are and dies, three times over; its clock runs ahead, so that nobody waits for its leases. */
  async function poison(url: string, count: number, open: AsyncDisposableStack): Promise<void> {
    const store = open.use(new RedisStore({ url, keyPrefix: 'sluice:', commandTimeoutMs: 2_000 }))
    await store.firstContact(2_000)
    let nowAt = Date.now()
    const scheduler = open.adopt(new RedisScheduler({ store, nowAt: () => nowAt }), (scheduler) => scheduler.close())
    const wish = { process: store.process, want: count, upstreams: [MAIN] }
    for (let life = 0; life < 3; life++) {
      assert.equal((await scheduler.claim(wish)).claimed.length, count)
      nowAt += 15_000
      await scheduler.tick({ ...wish, want: 0 })
    }
  }
})
