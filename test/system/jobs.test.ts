import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { tokenFor } from '../support/client.ts'
import { configFor, getRoute, upstream, WIDE } from '../support/config.ts'
import { type Gate, startGate } from '../support/gate.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { codeOf, JobClient, openStore, type StoreKind, type TestStore } from '../support/jobs.ts'
import { freePort } from '../support/ports.ts'
import { until } from '../support/until.ts'

const ATTEMPTS = 3
const SPILL_ABOVE = 16 * 1_024
const LARGE = 64 * 1_024
/** More than is held back until the end of a body. */
const MUCH = 768 * 1_024

const queue = (name: string, more: Record<string, unknown> = {}) => ({
  ...{ name, match: { path: `/${name}/:id` }, mode: 'queue', upstream: 'main', idempotent: true },
  ...more,
})

const ROUTES = [
  queue('jobs'),
  queue('once', { idempotent: false }),
  queue('kept', { cache: { maxEntrySize: '32KiB' } }),
  queue('brief', { submit: { resultTtl: '1s' } }),
  queue('nowhere', { idempotent: false, upstream: 'dead' }),
  { ...getRoute(), upstream: 'main', idempotent: true },
]

const PLANS: Record<string, Record<string, unknown>> = {
  wide: {},
  one: { maxConcurrentQueries: 1 },
  quick: { maxExecutionTime: '300ms' },
  small: { maxResultSize: '1MiB' },
  full: { maxResultBytes: '100KiB' },
  rated: { requestsPerMinute: 1, burst: 2 },
  brief: { maxConcurrentQueries: 1, maxQueueSize: 1 },
  late: { maxConcurrentQueries: 1, maxQueueTime: '300ms' },
}
const OF_EACH = 40
const listed = Object.keys(PLANS).flatMap((plan) =>
  Array.from({ length: OF_EACH }, (_, n) => [`${plan}-${n + 1}`, { plan }] as const),
)

const settings = { credentials: 'strip', retries: { attempts: ATTEMPTS, baseDelay: '1ms', budget: 1 } }

const configOf = (gate: Gate, dead: string, { settings: store }: TestStore) => {
  // What fails here is no sign of a sick upstream.
  const breaker = { volumeThreshold: 100_000 }
  return configFor(gate.url, {
    store,
    upstreams: {
      main: upstream(gate.url, { ...settings, breaker }),
      dead: upstream(dead, { ...settings, breaker, retries: { ...settings.retries, attempts: 2 } }),
    },
    workers: { concurrency: 64 },
    routes: ROUTES,
    results: { spillAbove: `${SPILL_ABOVE}B`, kind: store.kind === 'redis' ? 'redis' : 'filesystem' },
    tenants: { unknown: 'reject', default: WIDE, plans: PLANS, list: Object.fromEntries(listed) },
  })
}

const given = new Map<string, number>()
let made = 0
const named = () => `q${++made}`

const status =
  (code: number, body = '', headers: Record<string, string> = {}) =>
  (res: ServerResponse) =>
    void res.writeHead(code, headers).end(body)

for (const kind of ['embedded', 'redis'] as const satisfies StoreKind[]) {
  describe(`a job (${kind})`, { concurrency: 4 }, () => {
    const open = new AsyncDisposableStack()
    let gateways: TestGateway[]
    let gate: Gate
    let store: TestStore
    before(async () => {
      gate = open.use(await startGate())
      store = await openStore(kind, open)
      const config = configOf(gate, `http://127.0.0.1:${await freePort()}`, store)
      gateways = await Promise.all(Array.from({ length: kind === 'redis' ? 2 : 1 }, () => startGateway(config)))
      for (const gateway of gateways) open.use(gateway)
    })
    after(() => open.disposeAsync())

    /** A tenant of its own, that asks every gateway in turn. */
    const setup = async (plan = 'wide') => {
      const nth = (given.get(`${kind} ${plan}`) ?? 0) + 1
      given.set(`${kind} ${plan}`, nth)
      assert.ok(nth <= OF_EACH, 'enough tenants')
      const tenant = `${plan}-${nth}`
      let turn = 0
      const client = new JobClient(() => gateways[turn++ % gateways.length]!.url, await tokenFor(tenant))
      return { tenant, client }
    }
    /** A job that waits, for its tenant's only slot is taken. */
    const setupQueued = async (path = '/jobs', plan = 'one') => {
      const { tenant, client } = await setup(plan)
      const [before, name] = [named(), named()]
      const first = await client.submit(`/jobs/${before}`, {})
      const running = await gate.arrival(before)
      const job = await client.submit(`${path}/${name}`, {})
      return { tenant, client, first, running, job, name }
    }
    const held = async (path = '/jobs', plan = 'wide') => {
      const { tenant, client } = await setup(plan)
      const name = named()
      const job = await client.submit(`${path}/${name}`, {})
      return { tenant, client, job, name, running: await gate.arrival(name) }
    }

    describe('as it is submitted', () => {
      test('is accepted with its document, and with where to look after it', async () => {
        const { client, tenant } = await setup()
        const name = named()
        const reply = await client.post(`/jobs/${name}`, { q: name })
        assert.equal(reply.status, 202)
        assert.equal(reply.headers['content-type'], 'application/json')
        assert.equal(reply.headers['cache-control'], 'no-store')
        assert.equal(reply.headers['preference-applied'], undefined)
        const job = JSON.parse(reply.body)
        assert.match(job.id, /^job_[0-9A-HJKMNP-TV-Z]{26}$/)
        assert.equal(reply.headers.location, `/_sluice/jobs/${job.id}`)
        assert.deepEqual(Object.keys(job), [
          ...['id', 'status', 'route', 'class', 'tenant', 'submittedAt', 'startedAt', 'finishedAt', 'attempt'],
          ...['position', 'estimatedWaitMs', 'deadlineAt', 'error', 'links'],
        ])
        assert.deepEqual([job.status, job.route, job.class, job.tenant], ['queued', 'jobs', 'default', tenant])
        assert.deepEqual([job.startedAt, job.finishedAt, job.attempt, job.position], [null, null, 0, 1])
        assert.deepEqual(job.links, { self: `/_sluice/jobs/${job.id}`, result: `/_sluice/jobs/${job.id}/result` })
        const asked = await gate.arrival(name)
        assert.deepEqual([asked.tenant, asked.seen.method, asked.seen.body], [tenant, 'POST', `{"q":"${name}"}`])
        asked.letGo()
        assert.equal((await client.ended(job.id)).status, 'succeeded')
      })

      test('on a cached route is what a client prefers that would rather not wait', async () => {
        const { client } = await setup()
        const name = named()
        const reply = await client.ask({ path: `/api/report/${name}`, headers: { prefer: 'respond-async' } })
        assert.equal(reply.status, 202)
        assert.equal(reply.headers['preference-applied'], 'respond-async')
        ;(await gate.arrival(name)).letGo(status(200, 'later'))
        const { id } = JSON.parse(reply.body)
        assert.equal((await client.ended(id)).status, 'succeeded')
        assert.equal((await client.result(id)).body, 'later')
      })

      for (const path of ['/jobs', '/api/report']) {
        test(`is waited for where that is preferred, and answered in place at ${path}`, async () => {
          const { client } = await setup()
          const name = named()
          const prefer = 'respond-async, wait=10'
          const asked = client.ask({ path: `${path}/${name}`, headers: { prefer } })
          ;(await gate.arrival(name)).letGo(status(200, 'in time', { 'x-rows': '7' }))
          const reply = await asked
          assert.deepEqual([reply.status, reply.body, reply.headers['x-rows']], [200, 'in time', '7'])
          assert.equal(reply.headers['preference-applied'], prefer)
          assert.match(String(reply.headers['content-location']), /^\/_sluice\/jobs\/job_\w+\/result$/)
          assert.equal(reply.headers.location, undefined)
        })

        test(`that is not over in time is answered as accepted at ${path}`, async () => {
          const { client } = await setup()
          const name = named()
          const reply = await client.ask({ path: `${path}/${name}`, headers: { prefer: 'wait=1' } })
          assert.equal(reply.status, 202)
          assert.ok(reply.tookMs >= 990 && reply.tookMs < 5_000, `${reply.tookMs} ms`)
          assert.equal(reply.headers['preference-applied'], 'wait=1')
          const job = JSON.parse(reply.body)
          assert.equal(reply.headers.location, job.links.self)
          assert.equal(job.status, 'running')
          gate.letGo(name)
          assert.equal((await client.ended(job.id)).status, 'succeeded')
        })
      }

      test('again with its Idempotency-Key is the first one', async () => {
        const { client, tenant } = await setup()
        const other = new JobClient(gateways[0]!.url, await tokenFor(tenant, { sub: 'bob' }))
        const name = named()
        const once = (body: unknown, as = client) => as.post(`/jobs/${name}`, body, { 'idempotency-key': 'a key' })
        const [first, second] = [await once({ q: name }), await once({ q: name })]
        assert.deepEqual([first.status, second.status], [202, 202])
        const { id } = JSON.parse(first.body)
        assert.equal(JSON.parse(second.body).id, id)
        assert.equal(second.headers.location, `/_sluice/jobs/${id}`)
        const mismatch = await once({ q: name, more: 1 })
        assert.deepEqual([mismatch.status, codeOf(mismatch)], [422, 'IDEMPOTENCY_MISMATCH'])
        const others = await once({ q: name, more: 1 }, other)
        assert.notEqual(JSON.parse(others.body).id, id)
        gate.letGo(name)
        await client.ended(id)
        assert.equal(JSON.parse((await once({ q: name })).body).status, 'succeeded')
        await other.ended(JSON.parse(others.body).id)
        assert.equal(gate.names(tenant).length, 2)
      })

      test('is charged as a request is, and what the cache answers is free', async () => {
        const { client } = await setup('rated')
        const [name, other] = [named(), named()]
        for (const each of [name, other]) gate.letGo(each)
        const submit = (name: string) => client.post(`/kept/${name}`, {})
        const first = await submit(name)
        assert.equal(first.headers['ratelimit-policy'], '"requests";q=1;w=60')
        assert.match(String(first.headers.ratelimit), /^"requests";r=1;/)
        await client.ended(JSON.parse(first.body).id)
        for (let n = 0; n < 4; n++) {
          const free = await submit(name)
          assert.deepEqual([free.status, free.headers.ratelimit], [202, undefined])
        }
        assert.equal((await submit(other)).status, 202)
        const over = await submit(named())
        assert.deepEqual([over.status, codeOf(over)], [429, 'RATE_LIMITED'])
        assert.match(String(over.headers['retry-after']), /^[1-9]\d*$/)
        assert.equal((await client.list()).jobs.length, 6)
      })

      test('is turned away where the line is full', async () => {
        const { client, first, job } = await setupQueued('/jobs', 'brief')
        const full = await client.post(`/jobs/${named()}`, {})
        assert.deepEqual([full.status, codeOf(full)], [429, 'QUEUE_FULL'])
        assert.match(String(full.headers['retry-after']), /^[1-9]\d*$/)
        await client.cancel(job.id)
        const { id } = await client.submit(`/jobs/${named()}`, {})
        for (const each of [first.id, id]) await client.cancel(each)
      })

      for (const path of ['/kept', '/api/report']) {
        test(`is over at once where the cache has its answer at ${path}, and asks nobody`, async () => {
          const { client, tenant } = await setup()
          const name = named()
          gate.letGo(name, status(200, 'kept', { 'x-rows': '7' }))
          const submit = () => client.ask({ path: `${path}/${name}`, headers: { prefer: 'respond-async' } })
          const first = JSON.parse((await submit()).body)
          assert.equal((await client.ended(first.id)).status, 'succeeded')
          for (let n = 0; n < 2; n++) {
            const reply = await submit()
            assert.equal(reply.status, 202)
            assert.match(reply.cache, /^hit/)
            const job = JSON.parse(reply.body)
            assert.equal(job.status, 'succeeded')
            assert.notEqual(job.id, first.id)
            const result = await client.result(job.id)
            assert.deepEqual([result.status, result.body, result.headers['x-rows']], [200, 'kept', '7'])
          }
          assert.equal(gate.names(tenant).length, 1)
        })
      }
    })

    describe('as it runs', () => {
      test('does so although its client has left', async () => {
        const { client } = await setup()
        const name = named()
        const leaving = new AbortController()
        const headers = { prefer: 'respond-async, wait=20' }
        const asked = client.ask({ path: `/jobs/${name}`, headers, signal: leaving.signal })
        const running = await gate.arrival(name)
        leaving.abort()
        await assert.rejects(asked)
        running.letGo(status(200, 'all the same'))
        const [job] = (await client.list()).jobs
        assert.equal((await client.ended(job!.id)).status, 'succeeded')
        assert.equal((await client.result(job!.id)).body, 'all the same')
      })

      test('asks for itself where its answer cannot be shared', async () => {
        const { client, tenant } = await setup()
        const name = named()
        const jobs = await Promise.all([0, 1, 2].map(() => client.submit(`/kept/${name}`, {})))
        const first = await gate.arrival(name)
        let n = 0
        gate.letGo(name, (res) => res.writeHead(200, { 'cache-control': 'no-store' }).end(`answer ${++n}`))
        await first.over
        const bodies: string[] = []
        for (const { id } of jobs) {
          const { status, attempt } = await client.ended(id)
          assert.deepEqual([status, attempt], ['succeeded', 1])
          bodies.push((await client.result(id)).body)
        }
        assert.deepEqual(bodies.toSorted(), ['answer 1', 'answer 2', 'answer 3'])
        assert.equal(gate.names(tenant).length, 3)
      })

      test('fills the cache: the next request hits', async () => {
        const { client, tenant } = await setup()
        const name = named()
        gate.letGo(name, status(200, 'filled'))
        const headers = { prefer: 'respond-async' }
        const { id } = JSON.parse((await client.ask({ path: `/api/report/${name}`, headers })).body)
        await client.ended(id)
        const reply = await client.ask({ path: `/api/report/${name}` })
        assert.equal(reply.body, 'filled')
        assert.match(reply.cache, /^hit/)
        assert.equal(gate.names(tenant).length, 1)
      })

      test('shares its query with who asks the same', async () => {
        const { client, tenant } = await setup()
        const name = named()
        const jobs = await Promise.all([0, 1, 2].map(() => client.submit(`/kept/${name}`, {})))
        const running = await gate.arrival(name)
        await until(async () => {
          const seen = await Promise.all(jobs.map(({ id }) => client.look(id)))
          return seen.every(({ status }) => status === 'running')
        }, 'all of them running')
        running.letGo(status(200, 'shared'))
        for (const { id } of jobs) {
          assert.equal((await client.ended(id)).status, 'succeeded')
          assert.equal((await client.result(id)).body, 'shared')
        }
        assert.equal(gate.names(tenant).length, 1)
      })

      for (const code of [400, 500]) {
        test(`fails with what the upstream said: ${code}`, async () => {
          const { client, job, running } = await held('/once')
          running.letGo(status(code, 'why', { 'content-type': 'text/plain', 'x-why': 'because' }))
          const ended = await client.ended(job.id)
          assert.equal(ended.status, 'failed')
          assert.deepEqual([ended.error?.code, ended.error?.status], ['UPSTREAM_STATUS', code])
          const result = await client.result(job.id)
          assert.deepEqual([result.status, result.body, result.headers['x-why']], [code, 'why', 'because'])
          assert.equal(result.headers['content-type'], 'text/plain')
        })
      }

      for (const path of ['/jobs', '/kept'])
        test(`is tried again, through the line, while the upstream fails at ${path}`, async () => {
          const { client, tenant } = await setup()
          const name = named()
          const { id } = await client.submit(`${path}/${name}`, {})
          for (let n = 1; n < ATTEMPTS; n++) {
            // Longer than anybody reads, and without an end: it is let go of all the same.
            const failing = await gate.arrival(name, n)
            failing.letGo((res) => void res.writeHead(503).write(randomBytes(1_000_000)))
            const failedAt = performance.now()
            assert.equal(await failing.over, 'aborted')
            assert.ok(performance.now() - failedAt < 5_000, 'not by its timeout')
          }
          ;(await gate.arrival(name, ATTEMPTS)).letGo(status(200, 'at last'))
          const ended = await client.ended(id)
          assert.deepEqual([ended.status, ended.attempt, ended.error], ['succeeded', ATTEMPTS, null])
          assert.equal((await client.result(id)).body, 'at last')
          assert.equal(gate.names(tenant).length, ATTEMPTS)
        })

      test('is tried no oftener than the upstream’s retries say', async () => {
        const { client, tenant } = await setup()
        const name = named()
        gate.letGo(name, status(503, 'sick'))
        const { id } = await client.submit(`/jobs/${name}`, {})
        const ended = await client.ended(id)
        assert.deepEqual([ended.status, ended.attempt, ended.error?.status], ['failed', ATTEMPTS, 503])
        assert.equal((await client.result(id)).body, 'sick')
        assert.equal(gate.names(tenant).length, ATTEMPTS)
      })

      test('is tried again after a broken connection only where that may be', async () => {
        const { client } = await setup()
        const [may, mayNot] = [named(), named()]
        for (const name of [may, mayNot]) gate.letGo(name, (res) => res.destroy())
        const again = await client.submit(`/jobs/${may}`, {})
        const once = await client.submit(`/once/${mayNot}`, {})
        const [first, second] = [await client.ended(again.id), await client.ended(once.id)]
        assert.deepEqual([first.error?.code, first.attempt], ['UPSTREAM_INVALID', ATTEMPTS])
        assert.deepEqual([second.error?.code, second.attempt], ['UPSTREAM_INVALID', 1])
        assert.equal(gate.names().filter((name) => name === may).length, ATTEMPTS)
        assert.equal(gate.names().filter((name) => name === mayNot).length, 1)
      })

      test('is tried again in any case where nothing was sent', async () => {
        const { client } = await setup()
        const { id } = await client.submit('/nowhere/x', {})
        const ended = await client.ended(id)
        assert.deepEqual([ended.error?.code, ended.attempt], ['UPSTREAM_UNREACHABLE', 2])
        const result = await client.result(id)
        assert.deepEqual([result.status, codeOf(result)], [502, 'UPSTREAM_UNREACHABLE'])
      })

      test('is ended by maxExecutionTime, and so is its query', async () => {
        for (const path of ['/jobs', '/kept']) {
          const { client, job, running } = await held(path, 'quick')
          const ended = await client.ended(job.id)
          assert.deepEqual([ended.status, ended.error?.code], ['failed', 'DEADLINE_EXCEEDED'])
          assert.equal(await running.over, 'aborted')
          const ranMs = Date.parse(ended.finishedAt!) - Date.parse(ended.startedAt!)
          assert.ok(ranMs >= 290 && ranMs < 2_000, `${ranMs} ms`)
          const result = await client.result(job.id)
          assert.deepEqual([result.status, codeOf(result)], [504, 'DEADLINE_EXCEEDED'])
        }
      })

      test('is ended by a result larger than maxResultSize while that still comes', async () => {
        const { client, job, running } = await held('/jobs', 'small')
        running.letGo((res) => {
          res.writeHead(200)
          for (let n = 0; n < 8; n++) res.write(randomBytes(160 * 1_024))
        })
        const ended = await client.ended(job.id)
        assert.deepEqual([ended.status, ended.error?.code], ['failed', 'RESULT_TOO_LARGE'])
        assert.equal(await running.over, 'aborted')
        assert.equal(codeOf(await client.result(job.id)), 'RESULT_TOO_LARGE')
      })

      test('expires in the line after maxQueueTime, and is never asked for', async () => {
        const { client, job, running, tenant } = await setupQueued('/jobs', 'late')
        const ended = await client.ended(job.id)
        assert.deepEqual([ended.status, ended.error?.code, ended.startedAt], ['expired', 'QUEUE_TIMEOUT', null])
        const result = await client.result(job.id)
        assert.deepEqual([result.status, codeOf(result)], [503, 'QUEUE_TIMEOUT'])
        running.letGo()
        await until(() => gate.running(tenant) === 0, 'the end of the first')
        assert.equal(gate.names(tenant).length, 1)
      })
    })

    describe('as it is looked after', () => {
      test('is told of when asked, or when it has ended', async () => {
        const { client, first, job, running, name } = await setupQueued()
        assert.equal((await client.look(first.id)).status, 'running')
        const queued = await client.look(job.id)
        assert.deepEqual([queued.status, queued.position, queued.attempt], ['queued', 1, 0])
        assert.ok(queued.estimatedWaitMs! > 0)
        const polled = client.look(job.id, { prefer: 'wait=20' })
        running.letGo()
        ;(await gate.arrival(name)).letGo()
        const startedAt = performance.now()
        const ended = await polled
        assert.deepEqual([ended.status, ended.attempt, ended.position], ['succeeded', 1, null])
        assert.ok(performance.now() - startedAt < 1_500, 'told as it happens')
        assert.ok(Date.parse(ended.startedAt!) >= Date.parse(ended.submittedAt))
        assert.ok(Date.parse(ended.finishedAt!) >= Date.parse(ended.startedAt!))
      })

      test('is told of by events, from where the client left off', async () => {
        const { client, job, running, name } = await setupQueued()
        const stream = async (lastEventId?: string) => {
          const headers = {
            accept: 'text/event-stream',
            authorization: `Bearer ${client.token}`,
            ...(lastEventId !== undefined && { 'last-event-id': lastEventId }),
          }
          return fetch(`${gateways.at(-1)!.url}/_sluice/jobs/${job.id}`, { headers })
        }
        const response = await stream()
        assert.equal(response.headers.get('content-type'), 'text/event-stream')
        const events = eventsOf(response)
        const kinds: string[] = []
        let lastId = ''
        for await (const { event, id, data } of events) {
          kinds.push(event)
          lastId = id
          assert.equal(data.id, job.id)
          if (event === 'queued') running.letGo()
          if (event === 'running') gate.letGo(name)
        }
        assert.deepEqual([...new Set(kinds)], ['queued', 'running', 'succeeded'])
        assert.equal((await stream(lastId)).status, 204)
        const late: string[] = []
        for await (const { event } of eventsOf(await stream('1'))) late.push(event)
        assert.deepEqual(late, ['succeeded'])
      })

      test('has its result with the status, headers and body that the upstream gave it', async () => {
        const { client, job, running } = await held()
        const early = await client.result(job.id)
        assert.deepEqual([early.status, codeOf(early)], [409, 'JOB_NOT_FINISHED'])
        assert.match(String(early.headers['retry-after']), /^[1-9]\d*$/)
        const headers = { 'content-type': 'text/csv', 'x-rows': '7', 'set-cookie': 'a=b', 'cache-control': 'max-age=9' }
        running.letGo(status(201, 'a,b\n1,2\n', headers))
        await client.ended(job.id)
        const result = await client.result(job.id)
        assert.deepEqual([result.status, result.body], [201, 'a,b\n1,2\n'])
        assert.deepEqual([result.headers['content-type'], result.headers['x-rows']], ['text/csv', '7'])
        assert.equal(result.headers['set-cookie'], undefined)
        assert.equal(result.headers['cache-control'], 'private, no-cache')
        const head = await client.result(job.id, { method: 'HEAD' })
        assert.deepEqual([head.status, head.body, head.headers['content-length']], [201, '', '8'])
      })

      test('has a result for resultTtl, and then says that it is gone', async () => {
        const { client, job, running } = await held('/brief')
        running.letGo(status(200, 'brief'))
        await client.ended(job.id)
        assert.equal((await client.result(job.id)).body, 'brief')
        let gone = await client.result(job.id)
        const isGone = async () => {
          gone = await client.result(job.id)
          return gone.status !== 200
        }
        await until(isGone, 'its end', 3_000)
        assert.deepEqual([gone.status, codeOf(gone)], [410, 'RESULT_EXPIRED'])
        assert.equal((await client.look(job.id)).status, 'succeeded')
        await until(async () => (await client.result(job.id)).status === 404, 'the end of its record', 4_000)
      })

      test('is cancelled in the line, and never asked for', async () => {
        const { client, tenant, first, job, running } = await setupQueued()
        const cancelled = await client.cancel(job.id)
        assert.deepEqual([cancelled.status, cancelled.startedAt], ['cancelled', null])
        assert.notEqual(cancelled.finishedAt, null)
        assert.deepEqual(await client.cancel(job.id), cancelled)
        const result = await client.result(job.id)
        assert.deepEqual([result.status, codeOf(result)], [409, 'JOB_NOT_FINISHED'])
        running.letGo()
        assert.equal((await client.ended(first.id)).status, 'succeeded')
        assert.equal((await client.cancel(first.id)).status, 'succeeded')
        assert.equal(gate.names(tenant).length, 1)
      })

      test('is cancelled while it runs, and so is its query', async () => {
        for (const path of ['/jobs', '/kept']) {
          const { client, job, running } = await held(path)
          const cancelled = await client.cancel(job.id)
          assert.equal(cancelled.status, 'cancelled')
          assert.equal(await running.over, 'aborted')
          assert.deepEqual(await client.look(job.id), cancelled)
        }
      })

      test('stays cancelled, or what else it was, however late its result comes', async () => {
        const { client, tenant } = await setup()
        const names = Array.from({ length: 16 }, named)
        const jobs = await Promise.all(names.map((name) => client.submit(`/jobs/${name}`, {})))
        const running = await Promise.all(names.map((name) => gate.arrival(name)))
        const told = await Promise.all(
          jobs.map(async ({ id }, n) => {
            running[n]!.letGo()
            return client.cancel(id)
          }),
        )
        await until(() => gate.running(tenant) === 0, 'the end of all queries')
        for (const { id, status, revision } of told.map((job) => ({ ...job, revision: job.finishedAt }))) {
          assert.ok(status === 'cancelled' || status === 'succeeded', status)
          const now = await client.look(id)
          assert.deepEqual([now.status, now.finishedAt], [status, revision])
        }
      })

      test('stands in its owner’s list, which is told in pages and by status', async () => {
        const { client, tenant } = await setup('one')
        const names = Array.from({ length: 5 }, named)
        const ids: string[] = []
        for (const name of names) ids.push((await client.submit(`/jobs/${name}`, {})).id)
        await gate.arrival(names[0]!)
        const seen: string[] = []
        for (let query: string | null = '?limit=2'; query; ) {
          const { jobs, nextCursor } = await client.list(query)
          assert.ok(jobs.length <= 2)
          seen.push(...jobs.map(({ id }) => id))
          query = nextCursor && `?limit=2&cursor=${nextCursor}`
        }
        assert.deepEqual(seen, ids.toReversed())
        const of = async (status: string) => (await client.list(`?status=${status}`)).jobs.map(({ id }) => id)
        assert.deepEqual(await of('running'), [ids[0]])
        assert.deepEqual(await of('queued'), ids.slice(1).toReversed())
        await client.cancel(ids[4]!)
        assert.deepEqual(await of('cancelled'), [ids[4]])
        for (const name of names) gate.letGo(name)
        await client.ended(ids[3]!)
        assert.deepEqual(await of('succeeded'), ids.slice(0, 4).toReversed())
        assert.equal(
          (await new JobClient(gateways[0]!.url, await tokenFor(tenant, { sub: 'bob' })).list()).jobs.length,
          0,
        )
      })
    })

    describe('with a result', () => {
      /** Results of this tenant that do not lie with their jobs. */
      const spilled = async (id: string): Promise<number> => {
        if (store.redis) {
          const [, keys] = (await store.redis.command('SCAN', 0, 'MATCH', `*${id}*`, 'COUNT', 100_000)) as [
            string,
            string[],
          ]
          return keys.filter((key) => !/:(job|res|pay|idem|list):/.test(key)).length
        }
        const dir = join(store.dir, 'results')
        return existsSync(dir) ? readdirSync(dir).filter((file) => file.includes(id)).length : 0
      }
      const large = () => randomBytes(LARGE / 2).toString('hex')

      for (const path of ['/brief', '/kept']) {
        test(`that is large keeps it elsewhere at ${path}`, async () => {
          const { client, job, running } = await held(path)
          const body = large()
          running.letGo(status(200, body, { 'content-type': 'text/plain' }))
          await client.ended(job.id)
          assert.ok((await spilled(job.id)) > 0)
          assert.equal((await client.result(job.id)).body, body)
          if (path === '/brief') await until(async () => (await spilled(job.id)) === 0, 'the end of its result', 5_000)
        })
      }

      test('that comes to nothing leaves nothing of it', async () => {
        const ways: [string, string, (client: JobClient, id: string, res: ServerResponse) => unknown][] = [
          ['cut short', 'wide', (_client, _id, res) => res.destroy()],
          ['too large', 'small', (_client, _id, res) => res.write(randomBytes(2 * MUCH))],
          ['cancelled', 'wide', (client, id) => client.cancel(id)],
        ]
        for (const [what, plan, spoil] of ways) {
          const { client, job, running } = await held('/once', plan)
          running.letGo((res) => void res.writeHead(200).write(randomBytes(MUCH)))
          await until(async () => (await spilled(job.id)) > 0, `the beginning of what is ${what}`)
          spoil(client, job.id, running.res)
          assert.notEqual((await client.ended(job.id)).status, 'succeeded', what)
          await until(async () => (await spilled(job.id)) === 0, `the end of what is ${what}`)
        }
      })

      test('that is small keeps it with itself', async () => {
        const { client, job, running } = await held()
        running.letGo(status(200, 'x'.repeat(LARGE), { 'content-type': 'text/plain' }))
        await client.ended(job.id)
        assert.equal((await client.result(job.id)).body.length, LARGE)
        assert.equal(await spilled(job.id), 0)
      })

      test('gives it up for newer ones where its tenant has no more room', async () => {
        const { client } = await setup('full')
        const ids: string[] = []
        for (let n = 0; n < 2; n++) {
          const name = named()
          gate.letGo(name, status(200, randomBytes(60 * 1_024).toString('latin1')))
          const { id } = await client.submit(`/jobs/${name}`, {})
          assert.equal((await client.ended(id)).status, 'succeeded')
          ids.push(id)
        }
        await until(async () => (await spilled(ids[0]!)) === 0, 'the end of the first result')
        const [first, second] = [await client.result(ids[0]!), await client.result(ids[1]!)]
        assert.deepEqual([first.status, codeOf(first)], [410, 'RESULT_EXPIRED'])
        assert.equal(second.status, 200)
        assert.ok((await spilled(ids[1]!)) > 0)
      })

      test('in a coding keeps it in none of the upstream’s', async () => {
        for (const path of ['/jobs', '/kept']) {
          const { client, job, running } = await held(path)
          const text = 'region,amount\n'.repeat(5_000)
          running.letGo((res) => {
            res.writeHead(200, { 'content-type': 'text/csv', 'content-encoding': 'gzip' }).end(gzipSync(text))
          })
          await client.ended(job.id)
          const result = await client.result(job.id)
          assert.equal(result.headers['content-encoding'], undefined)
          assert.equal(result.headers['content-length'], `${text.length}`)
          assert.equal(result.body, text)
        }
      })
    })
  })
}

interface Told {
  event: string
  id: string
  data: { id: string; status: string }
}

async function* eventsOf(response: Response): AsyncGenerator<Told> {
  let text = ''
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const fields = Object.fromEntries(
        text
          .slice(0, end)
          .split('\n')
          .map((line) => /^(\w*): ?(.*)$/.exec(line)!.slice(1)),
      )
      text = text.slice(end + 2)
      if (fields.data) yield { event: fields.event, id: fields.id, data: JSON.parse(fields.data) }
    }
  }
}
