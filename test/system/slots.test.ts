import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { aboard, explain } from '../support/admin.ts'
import { type Reply, tokenFor } from '../support/client.ts'
import { configFor, getRoute, queryRoute, upstream, WIDE } from '../support/config.ts'
import { type Gate, startGate } from '../support/gate.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { codeOf, JobClient, openStore, type StoreKind } from '../support/jobs.ts'
import { until } from '../support/until.ts'

const NARROW = 3

const ROUTES = [
  queryRoute({ maxEntrySize: '4KiB' }, { upstream: 'main' }),
  { ...getRoute({ maxEntrySize: '4KiB' }), upstream: 'main' },
  { name: 'narrow', match: { path: '/narrow/:id' }, mode: 'cache', cache: { body: 'none' }, upstream: 'narrow' },
  { name: 'single', match: { path: '/single/:id' }, mode: 'cache', cache: { body: 'none' }, upstream: 'single' },
  { name: 'urgent', match: { path: '/urgent/:id' }, mode: 'cache', class: 'interactive', upstream: 'main' },
  { name: 'jobs', match: { path: '/jobs/:id' }, mode: 'queue', upstream: 'main' },
  { name: 'lazy', match: { path: '/lazy/:id' }, mode: 'queue', class: 'batch', upstream: 'main' },
  { name: 'proxied', match: { path: '/proxied/*' }, mode: 'proxy', upstream: 'main' },
]

/** Plans are what tests give to tenants of their own: `one-17` has plan `one`. */
const PLANS: Record<string, Record<string, unknown>> = {
  one: { maxConcurrentQueries: 1 },
  two: { maxConcurrentQueries: 2 },
  three: { maxConcurrentQueries: 3 },
  wide: {},
  hasty: { maxConcurrentQueries: 1, maxQueueTime: '200ms' },
  patient: { maxConcurrentQueries: 1, maxQueueTime: '1s' },
  brief: { maxConcurrentQueries: 1, maxQueueSize: 1, requestsPerMinute: 1, burst: 5 },
  modest: { softConcurrentQueries: 1 },
  strict: { maxConcurrentQueries: 1, maxExecutionTime: '1s' },
}
const OF_EACH = 12
const listed = Object.keys(PLANS).flatMap((plan) =>
  Array.from({ length: OF_EACH }, (_, n) => [`${plan}-${n + 1}`, { plan }] as const),
)

const configOf = (gate: Gate, store: Record<string, unknown>, more: Record<string, unknown> = {}) => {
  const wide = upstream(gate.url, { credentials: 'strip' })
  return configFor(gate.url, {
    store,
    upstreams: {
      main: wide,
      narrow: { ...wide, maxConcurrentQueries: NARROW },
      single: { ...wide, maxConcurrentQueries: 1 },
    },
    routes: ROUTES,
    tenants: { unknown: 'reject', default: WIDE, plans: PLANS, list: Object.fromEntries(listed) },
    ...more,
  })
}

const given = new Map<string, number>()
let made = 0
/** Names that no other test uses. */
const names = (count: number, prefix = 'q') => Array.from({ length: count }, () => `${prefix}${++made}`)
const isOk = ({ status }: Reply) => status === 200
const answerLater = (res: ServerResponse) => setTimeout(() => res.end('later'), 20)

/** A job of a cached route. */
async function submitCached(client: JobClient, name: string): Promise<string> {
  const reply = await client.ask({ path: `/api/report/${name}`, headers: { prefer: 'respond-async' } })
  assert.equal(reply.status, 202, reply.body)
  return JSON.parse(reply.body).id
}

/** Side by side, for the second half mostly waits. */
describe('slots', { concurrency: 2 }, () => {
  describe('of tenants', { concurrency: false }, () => {
    for (const kind of ['embedded', 'redis'] as const satisfies StoreKind[]) {
      describe(`a slot (${kind})`, { concurrency: false }, () => {
        const open = new AsyncDisposableStack()
        let gateways: TestGateway[]
        let gate: Gate
        before(async () => {
          gate = open.use(await startGate())
          const config = configOf(gate, (await openStore(kind, open)).settings)
          gateways = await Promise.all(Array.from({ length: kind === 'redis' ? 2 : 1 }, () => startGateway(config)))
          for (const gateway of gateways) open.use(gateway)
        })
        after(() => open.disposeAsync())

        /** A tenant of its own, that asks every gateway in turn. */
        const setup = async (plan = 'one') => {
          const nth = (given.get(`${kind} ${plan}`) ?? 0) + 1
          given.set(`${kind} ${plan}`, nth)
          assert.ok(nth <= OF_EACH, 'enough tenants')
          const tenant = `${plan}-${nth}`
          let turn = 0
          const client = new JobClient(() => gateways[turn++ % gateways.length]!.url, await tokenFor(tenant))
          const get = (
            name: string,
            path = '/api/report',
            headers: Record<string, string> = {},
            signal?: AbortSignal,
          ) => client.ask({ path: `${path}/${name}`, headers, ...(signal && { signal }) })
          const metric = (name: string) => gateways[0]!.metric(name, { tenant })
          const depth = () => metric('sluice_queue_depth')
          /** Metrics are looked at anew every half a second only. */
          const waits = (count: number) => until(async () => (await depth()) === count, `${count} waiting of ${tenant}`)
          /** Asks for what waits behind what is asked already, so that the order is known. */
          let asked = 0
          const line = async (ask: () => Promise<Reply>) => {
            const reply = ask()
            await waits(++asked)
            return reply
          }
          return { tenant, client, get, metric, depth, waits, line }
        }

        test('is what a tenant has maxConcurrentQueries of, over all processes', async () => {
          const { tenant, get, waits, metric } = await setup('three')
          const asked = names(12)
          const replies = asked.map((name) => get(name))
          await until(() => gate.running(tenant) === 3, 'three at the origin')
          await waits(9)
          assert.equal(await metric('sluice_running_queries'), 3)
          for (let n = 0; n < 12; n++) {
            await until(() => gate.names(tenant).length > n, 'the next one')
            gate.letGo(gate.names(tenant)[n]!)
          }
          assert.ok((await Promise.all(replies)).every(isOk))
          assert.equal(gate.peak(tenant), 3)
          assert.deepEqual(gate.names(tenant).toSorted(), asked.toSorted())
          await waits(0)
        })

        test('is what an upstream has maxConcurrentQueries of, over all tenants', async () => {
          const tenants = [await setup('wide'), await setup('wide')]
          const running = () => tenants.reduce((sum, { tenant }) => sum + gate.running(tenant), 0)
          const seenBefore = gate.asked.length
          const seen = () => gate.names().slice(seenBefore)
          const replies = tenants.flatMap(({ get }) => names(5).map((name) => get(name, '/narrow')))
          await until(() => running() === NARROW, 'a full upstream')
          await Promise.all(tenants.map(({ waits }, n) => waits(5 - gate.running(tenants[n]!.tenant))))
          for (let n = 0; n < 10; n++) {
            await until(() => seen().length > n, 'the next one')
            assert.ok(running() <= NARROW)
            gate.letGo(seen()[n]!)
          }
          assert.ok((await Promise.all(replies)).every(isOk))
        })

        test('is waited for in turn, and the wait is told', async () => {
          const { tenant, get, waits } = await setup()
          const [first, second, third] = names(3) as [string, string, string]
          const one = get(first)
          const running = await gate.arrival(first)
          const two = get(second)
          await waits(1)
          const three = get(third)
          await waits(2)
          running.letGo()
          const next = await gate.arrival(second)
          assert.deepEqual(gate.names(tenant), [first, second])
          next.letGo()
          gate.letGo(third)
          const replies = await Promise.all([one, two, three])
          assert.ok(replies.every(isOk))
          const queuedMs = replies.map(({ headers }) =>
            Number(/queue;dur=(\d+)/.exec(String(headers['server-timing']))?.[1]),
          )
          assert.ok(Number.isNaN(queuedMs[0]) || queuedMs[0]! < 50, `${queuedMs}`)
          assert.ok(queuedMs[1]! > 0 && queuedMs[2]! > 0, `${queuedMs}`)
          assert.deepEqual(gate.names(tenant), [first, second, third])
        })

        test('is not waited for longer than maxQueueTime', async () => {
          const { tenant, get, waits } = await setup('hasty')
          const [first, second] = names(2) as [string, string]
          const one = get(first)
          await gate.arrival(first)
          const late = await get(second)
          assert.deepEqual([late.status, codeOf(late)], [503, 'QUEUE_TIMEOUT'])
          assert.match(String(late.headers['retry-after']), /^[1-9]\d*$/)
          assert.ok(late.tookMs >= 190 && late.tookMs < 2_000, `${late.tookMs} ms`)
          await waits(0)
          gate.letGo(first)
          assert.ok(isOk(await one))
          assert.deepEqual(gate.names(tenant), [first])
          gate.letGo(second)
          assert.ok(isOk(await get(second)))
        })

        test('is not waited for by more than maxQueueSize, and whoever is turned away is charged nothing', async () => {
          const { tenant, get, waits } = await setup('brief')
          const [first, second, third, fourth] = names(4) as [string, string, string, string]
          const one = get(first)
          await gate.arrival(first)
          const two = get(second)
          await waits(1)
          for (let n = 0; n < 6; n++) {
            const full = await get(third)
            assert.deepEqual([full.status, codeOf(full)], [429, 'QUEUE_FULL'])
            assert.match(String(full.headers['retry-after']), /^[1-9]\d*$/)
            assert.equal(full.headers['content-type'], 'application/problem+json')
          }
          gate.letGo(first)
          gate.letGo(second)
          assert.ok((await Promise.all([one, two])).every(isOk))
          gate.letGo(fourth)
          assert.match(String((await get(fourth)).headers.ratelimit), /^"requests";r=2;/, 'three of five are spent')
          assert.deepEqual(gate.names(tenant), [first, second, fourth])
        })

        test('is given back, and its place too, by a caller that leaves', async () => {
          const { tenant, get, waits } = await setup()
          const [first, second, third, fourth] = names(4) as [string, string, string, string]
          const leaving = [new AbortController(), new AbortController()] as const
          const one = get(first, undefined, {}, leaving[0].signal)
          const running = await gate.arrival(first)
          const two = get(second, undefined, {}, leaving[1].signal)
          await waits(1)
          const three = get(third)
          await waits(2)
          const four = get(fourth)
          await waits(3)
          leaving[1].abort()
          await assert.rejects(two)
          await waits(2)
          leaving[0].abort()
          await assert.rejects(one)
          assert.equal(await running.over, 'aborted')
          ;(await gate.arrival(third)).letGo()
          ;(await gate.arrival(fourth)).letGo()
          assert.ok((await Promise.all([three, four])).every(isOk))
          assert.deepEqual(gate.names(tenant), [first, third, fourth])
        })

        test('is taken by what goes past the cache, and by what the cache may not keep', async () => {
          const { tenant, client, get, waits } = await setup('two')
          const [forced, private_] = names(2) as [string, string]
          const force = () => client.post('/api/query', { q: forced, force: true })
          gate.letGo(forced)
          assert.match((await force()).cache, /fwd=bypass; stored/)
          gate.letGo(private_, (res) => res.writeHead(200, { 'cache-control': 'no-store' }).end('mine'))
          assert.match((await get(private_)).cache, /fwd=uri-miss/)
          const blocked = names(2)
          const replies = blocked.map((name) => get(name))
          await Promise.all(blocked.map((name) => gate.arrival(name)))
          const seenBefore = gate.names(tenant).length
          const more = [...Array.from({ length: 4 }, () => get(private_)), force()]
          await waits(5)
          assert.equal(gate.names(tenant).length, seenBefore)
          for (const name of blocked) gate.letGo(name)
          const answered = await Promise.all([...replies, ...more])
          assert.ok(answered.every(isOk))
          assert.equal(gate.names(tenant).length, seenBefore + 5)
          assert.equal(gate.peak(tenant), 2)
        })

        test('is not taken by hits, by followers, nor by what is proxied', async () => {
          const { tenant, client, get, depth, metric } = await setup()
          const [known, held, proxied] = names(3) as [string, string, string]
          gate.letGo(known)
          await get(known)
          for (let n = 0; n < gateways.length; n++) assert.match((await get(known)).cache, /^hit/)
          const leader = get(held)
          await gate.arrival(held)
          const followers = gateways.map(() => get(held))
          const aboard = () =>
            Promise.all(gateways.map((gateway) => explain(gateway, `/api/report/${held}`, client.token)))
          await until(
            async () =>
              (await aboard()).reduce((sum, { flight }) => sum + flight.waitingHere, 0) === gateways.length + 1,
            'all aboard',
          )
          gate.letGo(proxied)
          assert.equal((await get(proxied, '/proxied')).status, 200)
          assert.match((await get(known)).cache, /^hit/)
          await until(async () => (await metric('sluice_running_queries')) === 1, 'one that runs')
          assert.equal(await depth(), 0)
          gate.letGo(held)
          assert.ok((await Promise.all([leader, ...followers])).every(isOk))
          assert.deepEqual(gate.names(tenant), [known, held, proxied])
        })

        test('is shared by tenants in turn, whoever came first', async () => {
          const [early, late] = [await setup('wide'), await setup('wide')]
          const [first] = names(1) as [string]
          const held = early.get(first, '/single')
          const running = await gate.arrival(first)
          const [many, few] = [names(8), names(4)]
          for (const name of [...many, ...few]) gate.letGo(name, answerLater)
          const replies: Promise<Reply>[] = []
          for (const name of many) replies.push(early.get(name, '/single'))
          await early.waits(8)
          for (const name of few) replies.push(late.get(name, '/single'))
          await late.waits(4)
          const seenBefore = gate.asked.length
          running.letGo()
          assert.ok((await Promise.all([held, ...replies])).every(isOk))
          const order = gate.asked.slice(seenBefore).map(({ tenant }) => tenant)
          const ofLate = order.slice(0, 8).filter((tenant) => tenant === late.tenant).length
          assert.ok(ofLate >= 3, `${order}`)
        })

        test('above softConcurrentQueries is one that nobody else wants', async () => {
          const [modest, other] = [await setup('modest'), await setup('wide')]
          const asked = names(6)
          const replies = asked.map((name) => modest.get(name, '/narrow'))
          await until(() => gate.running(modest.tenant) === NARROW, 'a full upstream')
          await modest.waits(3)
          const others = names(2)
          const later = others.map((name) => other.get(name, '/narrow'))
          await other.waits(2)
          for (let n = 1; n <= 2; n++) {
            gate.letGo(gate.names(modest.tenant)[n - 1]!)
            await until(() => gate.names(other.tenant).length === n, 'the other tenant')
            assert.equal(gate.names(modest.tenant).length, NARROW)
          }
          for (const name of [...asked, ...others]) gate.letGo(name)
          assert.ok((await Promise.all([...replies, ...later])).every(isOk))
        })

        test('is held by an answer that is too large to keep until it has streamed', async () => {
          const { tenant, client, get, waits } = await setup()
          const [large, next] = names(2) as [string, string]
          const { promise: mayEnd, resolve: end } = Promise.withResolvers<void>()
          gate.letGo(large, async (res) => {
            res.writeHead(200, { 'content-type': 'text/plain' }).write('x'.repeat(8_192))
            await mayEnd
            res.end('end')
          })
          const headers = { authorization: `Bearer ${client.token}` }
          const streaming = await fetch(`${gateways[0]!.url}/api/report/${large}`, { headers })
          assert.equal(streaming.status, 200)
          const waiting = get(next)
          await waits(1)
          assert.deepEqual(gate.names(tenant), [large])
          end()
          ;(await gate.arrival(next)).letGo()
          assert.equal((await streaming.text()).length, 8_195)
          assert.ok(isOk(await waiting))
        })

        test('is given in one order to waiting requests and jobs', async () => {
          const { tenant, client, get, waits } = await setup()
          const asked = names(6)
          const first = get(asked[0]!)
          await gate.arrival(asked[0]!)
          const replies = [first]
          for (const [n, name] of asked.slice(1).entries()) {
            if (n % 2 === 0) await client.submit(`/jobs/${name}`, {})
            else replies.push(get(name))
            await waits(n + 1)
          }
          for (const [n, name] of asked.entries()) {
            const held = await gate.arrival(name)
            assert.deepEqual(gate.names(tenant), asked.slice(0, n + 1))
            held.letGo()
          }
          assert.ok((await Promise.all(replies)).every(isOk))
          assert.equal(gate.peak(tenant), 1)
        })

        test('is given to interactive work before batch work', async () => {
          const { tenant, client, get, waits } = await setup()
          const [first, job, request] = names(3) as [string, string, string]
          const one = get(first)
          await gate.arrival(first)
          const { id } = await client.submit(`/lazy/${job}`, {})
          await waits(1)
          const two = get(request, '/urgent')
          await waits(2)
          for (const name of [first, request, job]) gate.letGo(name)
          assert.ok((await Promise.all([one, two])).every(isOk))
          assert.equal((await client.ended(id)).status, 'succeeded')
          assert.deepEqual(gate.names(tenant), [first, request, job])
        })

        test('is lent by a job to the request whose query it waits for', async () => {
          const { tenant, client, get, waits } = await setup()
          const [first, both] = names(2) as [string, string]
          const one = get(first)
          const running = await gate.arrival(first)
          const job = await submitCached(client, both)
          await waits(1)
          const two = get(both)
          await waits(2)
          running.letGo()
          ;(await gate.arrival(both)).letGo((res) => res.end('shared'))
          assert.ok((await Promise.all([one, two])).every(isOk))
          assert.equal((await client.ended(job)).status, 'succeeded')
          assert.equal((await client.result(job)).body, 'shared')
          assert.deepEqual(gate.names(tenant), [first, both])
          await waits(0)
        })

        test('that a job has lent is not the only way to its end: it runs itself when the other comes to nothing', async () => {
          const { tenant, client, get, waits } = await setup('patient')
          const [first, between, both] = names(3) as [string, string, string]
          const one = get(first)
          const running = await gate.arrival(first)
          const job = await submitCached(client, both)
          await waits(1)
          const two = get(between)
          await waits(2)
          const three = get(both)
          await waits(3)
          running.letGo()
          const blocking = await gate.arrival(between)
          assert.equal(codeOf(await three), 'QUEUE_TIMEOUT')
          blocking.letGo()
          gate.letGo(both)
          assert.ok((await Promise.all([one, two])).every(isOk))
          assert.equal((await client.ended(job)).error, null)
          assert.deepEqual(gate.names(tenant), [first, between, both])
        })

        test('that a job has lent does not cost it its time to run', async () => {
          const { tenant, client, get, waits } = await setup('strict')
          const [first, both, ...between] = names(5) as [string, string, ...string[]]
          const one = get(first)
          const running = await gate.arrival(first)
          const job = await submitCached(client, both)
          await waits(1)
          const replies = []
          for (const [n, name] of between.entries()) {
            gate.letGo(name, (res) => setTimeout(() => res.end(), 600))
            replies.push(get(name))
            await waits(n + 2)
          }
          const two = get(both)
          await waits(5)
          gate.letGo(both)
          running.letGo()
          assert.ok((await Promise.all([one, two, ...replies])).every(isOk))
          assert.equal((await client.ended(job)).error, null)
          assert.deepEqual(gate.names(tenant), [first, ...between, both])
        })
      })
    }
  })

  describe('of several processes (redis)', { concurrency: false }, () => {
    /** The jobs of `there` run in its own process, for the worker of `here` has its hands full. */
    const setupPair = async (open: AsyncDisposableStack) => {
      const gate = open.use(await startGate())
      const { settings } = await openStore('redis', open)
      const config = configOf(gate, settings, { workers: { concurrency: 1 } })
      const here = open.use(await startGateway(config))
      const busy = new JobClient(here.url, await tokenFor('wide-1'))
      await busy.submit('/jobs/busy', {})
      await gate.arrival('busy')
      const there = open.use(await startGateway(config))
      return { gate, here, there }
    }
    const get = (gateway: TestGateway, token: string, name: string, signal?: AbortSignal) =>
      new JobClient(gateway.url, token).ask({ path: `/api/report/${name}`, ...(signal && { signal }) })
    const depth = (gateway: TestGateway, tenant: string, count: number) =>
      until(async () => (await gateway.metric('sluice_queue_depth', { tenant })) === count, `${count} waiting`)

    test('is lent by a job to the request of another process whose query it waits for', async () => {
      await using open = new AsyncDisposableStack()
      const { gate, here, there } = await setupPair(open)
      const token = await tokenFor('one-1')
      const client = new JobClient(there.url, token)
      const one = get(here, token, 'first')
      const running = await gate.arrival('first')
      const job = await submitCached(client, 'both')
      await depth(here, 'one-1', 1)
      const two = get(here, token, 'both')
      await depth(here, 'one-1', 2)
      running.letGo()
      ;(await gate.arrival('both')).letGo((res) => res.end('shared'))
      assert.ok((await Promise.all([one, two])).every(isOk))
      assert.equal((await client.ended(job)).status, 'succeeded')
      assert.equal((await client.result(job)).body, 'shared')
      assert.deepEqual(gate.names('one-1'), ['first', 'both'])
    })

    test('that a job has lent is asked for anew by a request that waited with it', async () => {
      await using open = new AsyncDisposableStack()
      const { gate, here, there } = await setupPair(open)
      const token = await tokenFor('two-1')
      const client = new JobClient(there.url, token)
      const leaving = new AbortController()
      const one = get(here, token, 'both', leaving.signal)
      const first = await gate.arrival('both')
      const job = await submitCached(client, 'both')
      await aboard(there, '/api/report/both', token, 1)
      const two = get(there, token, 'both')
      await aboard(there, '/api/report/both', token, 2)
      leaving.abort()
      await assert.rejects(one)
      assert.equal(await first.over, 'aborted')
      ;(await gate.arrival('both', 2)).letGo((res) => res.end('shared'))
      assert.equal((await two).body, 'shared')
      assert.equal((await client.ended(job)).status, 'succeeded')
      assert.deepEqual(gate.names('two-1'), ['both', 'both'])
    })

    test('of a process that was killed comes back within a lease', async () => {
      await using open = new AsyncDisposableStack()
      const gate = open.use(await startGate())
      const config = configOf(gate, (await openStore('redis', open)).settings)
      const [killed, other] = await Promise.all([startGateway(config), startGateway(config)])
      open.use(other)
      await using _ = killed
      const token = await tokenFor('two-1')
      const lost = Promise.allSettled(['a', 'b', 'c'].map((name) => get(killed, token, name)))
      await Promise.all([gate.arrival('a'), gate.arrival('b')])
      await depth(other, 'two-1', 1)
      const waiting = get(other, token, 'd')
      await depth(other, 'two-1', 2)
      killed.signal('SIGKILL')
      const killedAt = performance.now()
      await lost
      gate.letGo()
      assert.ok(isOk(await waiting))
      const tookMs = performance.now() - killedAt
      assert.ok(tookMs < 16_500, `${tookMs} ms`)
      assert.deepEqual(gate.names('two-1').toSorted(), ['a', 'b', 'd'])
      assert.equal(await other.metric('sluice_running_queries', { tenant: 'two-1' }), 0)
    })
  })
})
