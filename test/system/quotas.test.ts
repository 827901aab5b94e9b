import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { type Reply, tokenFor } from '../support/client.ts'
import { configFor, getRoute, upstream, WIDE } from '../support/config.ts'
import { type Gate, startGate } from '../support/gate.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { JobClient, openStore, type StoreKind } from '../support/jobs.ts'
import { until } from '../support/until.ts'

type Settings = Record<string, unknown>

const ROUTES = [
  { ...getRoute(), upstream: 'main' },
  { name: 'single', match: { path: '/single/:id' }, mode: 'cache', cache: { body: 'none' }, upstream: 'single' },
  { name: 'jobs', match: { path: '/jobs/:id' }, mode: 'queue', upstream: 'main' },
]

let made = 0
const names = (count: number) => Array.from({ length: count }, () => `q${++made}`)
const isOk = ({ status }: Reply) => status === 200

for (const kind of ['embedded', 'redis'] as const satisfies StoreKind[]) {
  describe(`a limit (${kind})`, () => {
    const open = new AsyncDisposableStack()
    const list: Record<string, Settings> = {}
    let gate: Gate
    let gateways: TestGateway[]
    let config: () => string
    before(async () => {
      gate = open.use(await startGate())
      const { settings: store } = await openStore(kind, open)
      const wide = upstream(gate.url, { credentials: 'strip' })
      config = () =>
        configFor(gate.url, {
          store,
          upstreams: { main: wide, single: { ...wide, maxConcurrentQueries: 1 } },
          routes: ROUTES,
          tenants: { unknown: 'default', default: WIDE, list },
        })
      gateways = await Promise.all(Array.from({ length: kind === 'redis' ? 2 : 1 }, () => startGateway(config())))
      for (const gateway of gateways) open.use(gateway)
    })
    after(() => open.disposeAsync())

    /** Takes a tenant's changed settings over, everywhere. */
    const change = async (tenant: string, settings: Settings) => {
      list[tenant] = { ...list[tenant], ...settings }
      const before = gateways.map(({ lines }) => lines.length)
      for (const { configFile } of gateways) writeFileSync(configFile, config())
      await Promise.all(
        gateways.map(({ logged, lines }, n) =>
          logged((line) => lines.indexOf(line) >= before[n]! && line.msg === 'config reloaded'),
        ),
      )
    }
    let tenants = 0
    /** A tenant of its own, that asks every gateway in turn. */
    const setup = async (settings: Settings) => {
      const tenant = `tenant-${++tenants}`
      await change(tenant, settings)
      let turn = 0
      const client = new JobClient(() => gateways[turn++ % gateways.length]!.url, await tokenFor(tenant))
      const get = (name: string, path = '/api/report') => client.ask({ path: `${path}/${name}` })
      const waits = (count: number) =>
        until(
          async () => (await gateways[0]!.metric('sluice_queue_depth', { tenant })) === count,
          `${count} waiting of ${tenant}`,
        )
      const inShadow = async (limit: string) => {
        const counts = gateways.map((gateway) => gateway.metric('sluice_shadow_refusals_total', { tenant, limit }))
        return (await Promise.all(counts)).reduce((sum, count) => sum + count)
      }
      const refused = async () => {
        const counts = gateways.map((gateway) => gateway.metric('sluice_refusals_total', { tenant }))
        return (await Promise.all(counts)).reduce((sum, count) => sum + count)
      }
      return { tenant, client, get, waits, inShadow, refused, change: (more: Settings) => change(tenant, more) }
    }

    test('that is lowered lets what runs end, and starts no more than it says', async () => {
      const { tenant, client, get, waits, change } = await setup({ maxConcurrentQueries: 4 })
      const [running, requests, jobs] = [names(4), names(3), names(3)]
      const replies = running.map((name) => get(name))
      await Promise.all(running.map((name) => gate.arrival(name)))
      replies.push(...requests.map((name) => get(name)))
      const ids = await Promise.all(jobs.map(async (name) => (await client.submit(`/jobs/${name}`, {})).id))
      await waits(6)
      await change({ maxConcurrentQueries: 1 })
      for (const [n, name] of running.entries()) {
        assert.equal(gate.running(tenant), 4 - n)
        const held = await gate.arrival(name)
        held.letGo()
        await held.over
      }
      for (let n = 4; n < 10; n++) {
        await until(() => gate.names(tenant).length > n, 'the next one')
        assert.equal(gate.running(tenant), 1)
        assert.equal(gate.names(tenant).length, n + 1)
        gate.letGo(gate.names(tenant)[n]!)
      }
      assert.ok((await Promise.all(replies)).every(isOk))
      for (const id of ids) assert.equal((await client.ended(id)).status, 'succeeded')
    })

    test('that is raised starts what waits at once', async () => {
      const { tenant, client, get, waits, change } = await setup({ maxConcurrentQueries: 1 })
      const [requests, jobs] = [names(3), names(3)]
      const replies = [get(requests[0]!)]
      await gate.arrival(requests[0]!)
      replies.push(...requests.slice(1).map((name) => get(name)))
      const ids = await Promise.all(jobs.map(async (name) => (await client.submit(`/jobs/${name}`, {})).id))
      await waits(5)
      await change({ maxConcurrentQueries: 3 })
      await until(() => gate.running(tenant) === 3, 'three at the origin')
      await change({ maxConcurrentQueries: 6 })
      await until(() => gate.running(tenant) === 6, 'all at the origin')
      for (const name of [...requests, ...jobs]) gate.letGo(name)
      assert.ok((await Promise.all(replies)).every(isOk))
      for (const id of ids) assert.equal((await client.ended(id)).status, 'succeeded')
    })

    test('of nothing at all, a pause, stops the line until it is over', async () => {
      const { tenant, client, get, waits, change } = await setup({ maxConcurrentQueries: 1 })
      const other = await setup({})
      const [first, request, job, others] = names(4) as [string, string, string, string]
      const one = get(first)
      const running = await gate.arrival(first)
      const { id } = await client.submit(`/jobs/${job}`, {})
      await waits(1)
      const two = get(request)
      await waits(2)
      await change({ paused: true })
      running.letGo()
      assert.ok(isOk(await one))
      assert.equal((await get(names(1)[0]!)).status, 403)
      gate.letGo(others)
      const { id: barrier } = await other.client.submit(`/jobs/${others}`, {})
      assert.equal((await other.client.ended(barrier)).status, 'succeeded')
      assert.deepEqual(gate.names(tenant), [first])
      assert.equal((await client.look(id)).status, 'queued')
      for (const name of [job, request]) gate.letGo(name)
      await change({ paused: false })
      assert.ok(isOk(await two))
      assert.equal((await client.ended(id)).status, 'succeeded')
      assert.deepEqual(gate.names(tenant), [first, job, request])
    })

    test('of a share, a weight, counts from when it is changed', async () => {
      const [holder, heavy, light] = [await setup({}), await setup({}), await setup({})]
      const [first] = names(1) as [string]
      const replies = [holder.get(first, '/single')]
      const running = await gate.arrival(first)
      const queries = 30
      for (const { get, waits } of [heavy, light]) {
        const asked = names(queries)
        for (const name of asked) gate.letGo(name, afterAWhile)
        replies.push(...asked.map((name) => get(name, '/single')))
        await waits(queries)
      }
      const seenBefore = gate.asked.length
      const order = () => gate.asked.slice(seenBefore).map(({ tenant }) => tenant)
      const shareOf = (from: number, to: number) =>
        order()
          .slice(from, to)
          .filter((tenant) => tenant === heavy.tenant).length
      running.letGo()
      await until(() => order().length >= 12, 'twelve turns')
      assert.ok(shareOf(0, 12) >= 4 && shareOf(0, 12) <= 8, `${order()}`)
      await heavy.change({ weight: 8 })
      const from = order().length + 2
      await until(() => order().length >= from + 16, 'sixteen more turns')
      assert.ok(shareOf(from, from + 16) >= 11, `${order().slice(from)}`)
      assert.ok((await Promise.all(replies)).every(isOk))
    })

    describe('in shadow', () => {
      test('of a line refuses nobody, and counts whom it would have', async () => {
        const shadow = ['maxQueueSize']
        const { client, get, waits, inShadow, refused } = await setup({
          ...{ maxConcurrentQueries: 1, maxQueueSize: 1, shadow },
        })
        const [first, ...rest] = names(4) as [string, ...string[]]
        const replies = [get(first)]
        await gate.arrival(first)
        replies.push(...rest.map((name) => get(name)))
        await waits(3)
        const jobs = names(2)
        const ids = await Promise.all(jobs.map(async (name) => (await client.submit(`/jobs/${name}`, {})).id))
        assert.equal(await inShadow('maxQueueSize'), 2)
        for (const name of [first, ...rest, ...jobs]) gate.letGo(name)
        assert.ok((await Promise.all(replies)).every(isOk))
        for (const id of ids) assert.equal((await client.ended(id)).status, 'succeeded')
        assert.deepEqual([await inShadow('maxQueueSize'), await refused()], [4, 0])
      })

      test('of a rate counts submissions', async () => {
        const shadow = ['requestsPerMinute']
        const { client, inShadow, refused } = await setup({ requestsPerMinute: 1, burst: 2, shadow })
        for (const name of names(5)) {
          gate.letGo(name)
          await client.submit(`/jobs/${name}`, {})
        }
        assert.deepEqual([await inShadow('requestsPerMinute'), await refused()], [3, 0])
      })

      test('of queries at a time lets all of them go, and counts those above it', async () => {
        const shadow = ['maxConcurrentQueries']
        const { tenant, client, get, inShadow, refused } = await setup({ maxConcurrentQueries: 2, shadow })
        const [requests, jobs] = [names(4), names(2)]
        const replies = []
        for (const name of requests) {
          replies.push(get(name))
          await gate.arrival(name)
        }
        await until(async () => (await inShadow('maxConcurrentQueries')) === 2, 'two above it')
        const ids = await Promise.all(jobs.map(async (name) => (await client.submit(`/jobs/${name}`, {})).id))
        await until(() => gate.running(tenant) === 6, 'all at the origin')
        await until(async () => (await inShadow('maxConcurrentQueries')) === 4, 'four above it')
        for (const name of [...requests, ...jobs]) gate.letGo(name)
        assert.ok((await Promise.all(replies)).every(isOk))
        for (const id of ids) assert.equal((await client.ended(id)).status, 'succeeded')
        const [last] = names(1) as [string]
        gate.letGo(last)
        assert.ok(isOk(await get(last)))
        assert.deepEqual([await inShadow('maxConcurrentQueries'), await refused()], [4, 0])
      })

      test('of a wait lets all of them wait, and counts those who waited longer', async () => {
        const { client, get, waits, inShadow, refused } = await setup({
          ...{ maxConcurrentQueries: 1, maxQueueTime: '100ms', shadow: ['maxQueueTime'] },
        })
        const [first, second, job, last] = names(4) as [string, string, string, string]
        const replies = [get(first)]
        const running = await gate.arrival(first)
        replies.push(get(second))
        await waits(1)
        const { id } = await client.submit(`/jobs/${job}`, {})
        const waitedUntil = performance.now() + 150
        await until(() => performance.now() > waitedUntil, 'longer than maxQueueTime')
        for (const name of [second, job, last]) gate.letGo(name)
        running.letGo()
        assert.ok((await Promise.all(replies)).every(isOk))
        assert.equal((await client.ended(id)).status, 'succeeded')
        assert.ok(isOk(await get(last)))
        assert.deepEqual([await inShadow('maxQueueTime'), await refused()], [2, 0])
      })

      test('of a result keeps it, and counts it', async () => {
        const { client, inShadow, refused } = await setup({ maxResultSize: '1KiB', shadow: ['maxResultSize'] })
        const [small, large] = names(2) as [string, string]
        const body = randomBytes(2_000).toString('hex')
        gate.letGo(small)
        gate.letGo(large, (res) => res.end(body))
        for (const [name, text] of [
          [small, '{"rows":[]}'],
          [large, body],
        ] as const) {
          const { id } = await client.submit(`/jobs/${name}`, {})
          assert.equal((await client.ended(id)).status, 'succeeded')
          assert.equal((await client.result(id)).body, text)
        }
        assert.deepEqual([await inShadow('maxResultSize'), await refused()], [1, 0])
      })
    })
  })
}

const afterAWhile = (res: ServerResponse) => setTimeout(() => res.end(), 20)
