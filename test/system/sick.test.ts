import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { describe, test } from 'node:test'
import { aboard } from '../support/admin.ts'
import { type Reply, tokenFor } from '../support/client.ts'
import { configFor, getRoute, redisStore, upstream, WIDE } from '../support/config.ts'
import { startGate } from '../support/gate.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { codeOf, JobClient, openStore, type StoreKind, temporaryDir } from '../support/jobs.ts'
import { startRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'

const HARD = 4

const ROUTES = [
  getRoute(),
  {
    name: 'shared',
    match: { path: '/shared/:id' },
    mode: 'cache',
    cache: { body: 'none', identity: 'shared', sharedDespiteTenantHeader: true },
  },
  { name: 'jobs', match: { path: '/jobs/:id' }, mode: 'queue' },
  { name: 'again', match: { path: '/again/:id' }, mode: 'queue', idempotent: true },
]

const TENANTS = { unknown: 'default', default: { ...WIDE, maxConcurrentQueries: HARD } }

let made = 0
const names = (count: number, prefix = 'q') => Array.from({ length: count }, () => `${prefix}${++made}`)
const isOk = ({ status }: Reply) => status === 200

const status =
  (code: number, headers: Record<string, string> = {}) =>
  (res: ServerResponse) =>
    void res.writeHead(code, headers).end()

const refusedFor = (reply: Reply, code: string) => {
  assert.deepEqual([reply.status, codeOf(reply)], [503, code])
  assert.match(String(reply.headers['retry-after']), /^[1-9]\d*$/)
}

for (const kind of ['embedded', 'redis'] as const satisfies StoreKind[]) {
  describe(`an upstream that is sick (${kind})`, { concurrency: 3 }, () => {
    const setup = async (open: AsyncDisposableStack, settings: Record<string, unknown> = {}) => {
      const gate = open.use(await startGate())
      const { settings: store } = await openStore(kind, open)
      const main = upstream(gate.url, {
        ...{ credentials: 'strip', retries: { attempts: 1, baseDelay: '1ms', budget: 1 } },
        breaker: { window: '10s', volumeThreshold: 6, resetTimeout: '2s', maxResetTimeout: '2s' },
        ...settings,
      })
      const gateway = open.use(
        await startGateway(
          configFor(gate.url, {
            store,
            upstreams: { main },
            routes: ROUTES,
            tenants: TENANTS,
            workers: { concurrency: 64 },
          }),
        ),
      )
      const as = async (tenant: string) => {
        const client = new JobClient(gateway.url, await tokenFor(tenant))
        const get = (name: string, path = '/api/report') => client.ask({ path: `${path}/${name}` })
        const submit = async (name: string, path = '/jobs') => (await client.submit(`${path}/${name}`, {})).id
        const waits = (count: number) =>
          until(async () => (await depthOf(gateway, tenant)) === count, `${count} waiting`)
        return { tenant, client, get, submit, waits }
      }
      const state = () => gateway.metric('sluice_breaker_state', { upstream: 'main' })
      return { gate, gateway, as, state }
    }

    test('is left alone by all who wait, whose jobs keep their places, and is given back its work little by little', async () => {
      await using open = new AsyncDisposableStack()
      const { gate, as, state } = await setup(open)
      const tenants = await Promise.all(['a', 'b', 'c'].map(as))
      const running: Promise<Reply>[] = []
      const waiting: Promise<Reply>[] = []
      const jobs: { client: JobClient; id: string }[] = []
      for (const { get, submit, client, waits } of tenants) {
        const held = names(HARD)
        running.push(...held.map((name) => get(name)))
        await Promise.all(held.map((name) => gate.arrival(name)))
        waiting.push(...names(2).map((name) => get(name)))
        await waits(2)
        for (const name of names(8, 'job')) jobs.push({ client, id: await submit(name) })
      }
      const asked = gate.asked.length

      const failing = await Promise.all(['x', 'y'].map(as))
      for (const name of names(6)) {
        gate.letGo(name, status(503))
        assert.equal((await failing[made % 2]!.get(name)).status, 503)
      }
      const openAt = performance.now()
      assert.equal(await state(), 2)
      for (const reply of await Promise.all(waiting)) refusedFor(reply, 'BREAKER_OPEN')
      assert.ok(performance.now() - openAt < 1_000, 'at once')

      // What ran comes to its end, and nothing takes its place.
      for (const held of gate.asked.slice(0, asked)) held.letGo()
      assert.ok((await Promise.all(running)).every(isOk))
      for (const { client, id } of jobs) {
        const { status, attempt, error } = await client.look(id)
        assert.deepEqual([status, attempt, error], ['queued', 0, null])
      }
      const before = asked + 6
      assert.equal(gate.asked.length, before)

      // Probes: of different tenants.
      await until(() => gate.asked.length > before, 'a probe')
      assert.ok(performance.now() - openAt >= 1_900, 'after its rest')
      await until(() => gate.running() === 3, 'three probes')
      assert.equal(await state(), 1)
      assert.equal(new Set(gate.asked.slice(before).map(({ tenant }) => tenant)).size, 3)
      for (const { tenant } of gate.asked.slice(before)) assert.ok('abc'.includes(tenant))

      // Little by little: never more at a time than have succeeded, and a few.
      let succeeded = 0
      while (succeeded < jobs.length) {
        await until(() => gate.asked.length > before + succeeded, 'the next job')
        assert.ok(gate.running() <= 4 + succeeded, `${gate.running()} after ${succeeded}`)
        const next = gate.asked[before + succeeded++]!
        next.letGo()
        await next.over
      }
      for (const { client, id } of jobs) {
        const { status, attempt } = await client.ended(id)
        assert.deepEqual([status, attempt], ['succeeded', 1])
      }
      assert.equal(await state(), 0)
    })

    test('is not asked before a 503’s Retry-After has passed', async () => {
      await using open = new AsyncDisposableStack()
      const { gate, as, state } = await setup(open)
      const [a, b] = [await as('a'), await as('b')]
      const [asking, ...held] = names(HARD)
      const replies = [asking!, ...held].map((name) => a.get(name))
      await Promise.all([asking!, ...held].map((name) => gate.arrival(name)))
      const waiting = a.get(names(1)[0]!)
      await a.waits(1)
      const job = await a.submit(names(1)[0]!)
      ;(await gate.arrival(asking!)).letGo(status(503, { 'retry-after': '2' }))
      assert.equal((await replies[0]!).headers['retry-after'], '2')
      const answeredAt = performance.now()
      refusedFor(await waiting, 'BREAKER_OPEN')
      const seenBefore = gate.asked.length
      gate.letGo()
      const others = await b.submit(names(1)[0]!)
      for (const { get } of [a, b]) refusedFor(await get(names(1)[0]!), 'BREAKER_OPEN')
      assert.ok((await Promise.all(replies.slice(1))).every(isOk))
      assert.equal((await a.client.look(job)).status, 'queued')
      await until(() => gate.asked.length > seenBefore, 'the next one')
      assert.ok(performance.now() - answeredAt >= 1_900, `${performance.now() - answeredAt} ms`)
      for (const [{ client }, id] of [
        [a, job],
        [b, others],
      ] as const) {
        const ended = await client.ended(id)
        assert.deepEqual([ended.status, ended.attempt], ['succeeded', 1])
      }
      assert.ok(isOk(await b.get(names(1)[0]!)))
      assert.equal(await state(), 0)
    })

    test('of one tenant, by a 429, is not asked for that tenant before its Retry-After has passed', async () => {
      await using open = new AsyncDisposableStack()
      const { gate, gateway, as } = await setup(open)
      const [a, b] = [await as('a'), await as('b')]
      const held = names(HARD)
      const replies = held.map((name) => a.get(name))
      await Promise.all(held.map((name) => gate.arrival(name)))
      const waiting = a.get(names(1)[0]!)
      await a.waits(1)
      const [shared] = names(1) as [string]
      const leading = a.get(shared, '/shared')
      await a.waits(2)
      const following = b.get(shared, '/shared')
      await aboard(gateway, `/shared/${shared}`, a.client.token, 2)
      const job = await a.submit(names(1)[0]!)
      ;(await gate.arrival(held[0]!)).letGo(status(429, { 'retry-after': '2' }))
      assert.equal((await replies[0]!).status, 429)
      const answeredAt = performance.now()
      for (const reply of [await waiting, await leading]) refusedFor(reply, 'BREAKER_OPEN')
      gate.letGo()
      assert.ok(isOk(await following), 'who waited with it asks for himself')
      const others = await b.submit(names(1)[0]!)
      assert.equal((await b.client.ended(others)).status, 'succeeded')
      assert.ok(isOk(await b.get(names(1)[0]!)))
      refusedFor(await a.get(names(1)[0]!), 'BREAKER_OPEN')
      assert.ok((await Promise.all(replies.slice(1))).every(isOk))
      assert.ok(performance.now() - answeredAt < 1_500, 'others do not wait')
      assert.equal((await a.client.look(job)).status, 'queued')
      assert.equal(gate.names('a').length, HARD)
      assert.equal((await a.client.ended(job)).status, 'succeeded')
      const parkedMs = performance.now() - answeredAt
      assert.ok(parkedMs >= 1_900 && parkedMs < 4_500, `${parkedMs} ms`)
      assert.ok(isOk(await a.get(names(1)[0]!)))
    })

    test('is asked again by a job when it said so, and not before', async () => {
      await using open = new AsyncDisposableStack()
      const { gate, as } = await setup(open, { retries: { attempts: 2, baseDelay: '1ms', budget: 1 } })
      const a = await as('a')
      const [name] = names(1) as [string]
      const id = await a.submit(name, '/again')
      ;(await gate.arrival(name)).letGo(status(503, { 'retry-after': '1' }))
      const answeredAt = performance.now()
      await until(async () => (await a.client.look(id)).status === 'queued', 'its way back')
      ;(await gate.arrival(name, 2)).letGo()
      assert.ok(performance.now() - answeredAt >= 950, `${performance.now() - answeredAt} ms`)
      const ended = await a.client.ended(id)
      assert.deepEqual([ended.status, ended.attempt], ['succeeded', 2])
    })

    test('for one tenant alone stays open to the others', async () => {
      await using open = new AsyncDisposableStack()
      const { gate, as, state } = await setup(open)
      const [a, b] = [await as('a'), await as('b')]
      for (let n = 0; n < 12; n++) {
        const [bad, good] = names(2) as [string, string]
        gate.letGo(bad, status(503))
        gate.letGo(good)
        const failed = await a.submit(bad)
        assert.equal((await a.client.ended(failed)).error?.status, 503)
        if (n % 3 > 0) continue
        assert.equal((await b.client.ended(await b.submit(good))).status, 'succeeded')
      }
      assert.equal(await state(), 0)
    })
  })
}

const depthOf = (gateway: TestGateway, tenant: string) => gateway.metric('sluice_queue_depth', { tenant })

describe('while Redis is away', { concurrency: 2 }, () => {
  for (const how of ['killed', 'stopped'] as const) {
    test(`because it was ${how}, nothing is accepted that could be lost, and the rest goes on`, async () => {
      await using open = new AsyncDisposableStack()
      const gate = open.use(await startGate())
      const redis = open.use(await startRedis('--appendonly', 'yes', '--appendfsync', 'always'))
      const away = () => (how === 'killed' ? redis.kill() : redis.pause())
      const back = () => (how === 'killed' ? redis.restart() : redis.resume())
      const config = configFor(gate.url, {
        store: redisStore(redis.url, { commandTimeout: '250ms', dir: temporaryDir(open) }),
        upstreams: { main: upstream(gate.url, { credentials: 'strip' }) },
        routes: ROUTES,
        tenants: TENANTS,
      })
      const other = open.use(await startGateway(config))
      const gateway = open.use(await startGateway(config)) // the later one knows of both from the start
      await until(async () => (await gateway.metric('sluice_processes')) === 2, 'both known')
      const isUp = (up: number) =>
        Promise.all(
          [gateway, other].map((one) => until(async () => (await one.metric('sluice_store_up')) === up, `up ${up}`)),
        )
      const as = async (tenant: string) => new JobClient(gateway.url, await tokenFor(tenant))
      const [a, b] = [await as('a'), await as('b')]

      const held = names(HARD, 'job')
      const jobs = await Promise.all(held.map((name) => a.submit(`/jobs/${name}`, {})))
      await Promise.all(held.map((name) => gate.arrival(name)))
      const queued = await a.submit(`/jobs/${names(1)[0]}`, {})
      const [moved] = names(1) as [string]
      const waiting = a.ask({ path: `/api/report/${moved}` })
      await until(async () => (await depthOf(gateway, 'a')) === 2, 'two waiting')

      await away()
      await isUp(0)
      // Submissions and what is told of jobs.
      const [refused] = names(1) as [string]
      for (const [method, path] of [
        ['POST', `/jobs/${refused}`],
        ['GET', `/_sluice/jobs/${queued.id}`],
        ['GET', `/_sluice/jobs/${queued.id}/result`],
        ['DELETE', `/_sluice/jobs/${queued.id}`],
        ['GET', '/_sluice/jobs'],
      ] as const) {
        const reply = await a.ask({ method, path })
        refusedFor(reply, 'STORE_UNAVAILABLE')
        assert.ok(reply.tookMs < 1_500, `${method} ${path}: ${reply.tookMs} ms`)
      }
      // Requests: this process's part of the limit. One that waited has moved.
      ;(await gate.arrival(moved)).letGo()
      assert.ok(isOk(await waiting))
      const asked = names(6)
      const replies = asked.map((name) => b.ask({ path: `/api/report/${name}` }))
      await until(() => gate.running('b') === HARD / 2, 'its part at the origin')
      for (let n = 0; n < asked.length; n++) {
        await until(() => gate.names('b').length > n, 'the next one')
        gate.letGo(gate.names('b')[n]!)
      }
      assert.ok((await Promise.all(replies)).every(isOk))
      assert.equal(gate.peak('b'), HARD / 2)
      // Running jobs end; their results are handed in later.
      for (const [n, name] of held.entries()) gate.letGo(name, (res) => res.end(`of ${n}`))
      await until(() => gate.running() === 0, 'the end of all queries')

      await back()
      await isUp(1)
      gate.letGo()
      for (const [n, { id }] of jobs.entries()) {
        const { status, attempt } = await a.ended(id)
        assert.deepEqual([status, attempt], ['succeeded', 1])
        assert.equal((await a.result(id)).body, `of ${n}`)
      }
      assert.equal((await a.ended(queued.id)).status, 'succeeded')
      const { id } = await b.submit(`/jobs/${names(1)[0]}`, {})
      assert.equal((await b.ended(id)).status, 'succeeded')
      assert.ok(isOk(await b.ask({ path: `/api/report/${names(1)[0]}` })))
      assert.equal(gate.names().filter((name) => held.includes(name)).length, HARD, 'each asked once')
      assert.ok(!gate.names().includes(refused))
      // No place is lost: as many as ever may run at a time, and no more.
      const after = names(2 * HARD)
      const last = after.map((name) => b.ask({ path: `/api/report/${name}` }))
      assert.ok((await Promise.all(last)).every(isOk))
      await until(async () => (await gateway.metric('sluice_running_queries')) === 0, 'nothing running')
    })
  }
})
