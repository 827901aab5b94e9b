import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { ask, tokenFor } from '../support/client.ts'
import { configFor, queryRoute, upstream } from '../support/config.ts'
import { type Gate, startGate } from '../support/gate.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { JobClient, openStore } from '../support/jobs.ts'
import { freePort } from '../support/ports.ts'
import { childrenOf } from '../support/processes.ts'
import { until } from '../support/until.ts'

const QUEUE = { name: 'report', match: { method: 'POST', path: '/api/job' }, mode: 'queue' }

/** One process takes jobs in, another runs them; a Redis of its own for each test, so that nobody else's worker helps. */
describe('sluice serve --role', { concurrency: 2 }, () => {
  let gate: Gate
  let token: string
  before(async () => {
    gate = await startGate()
    token = await tokenFor('acme')
  })
  after(() => gate[Symbol.asyncDispose]())

  async function setup(open: AsyncDisposableStack, sections: Record<string, unknown> = {}) {
    const store = await openStore('redis', open)
    const config = configFor(gate.url, {
      store: store.settings,
      upstreams: { main: upstream(gate.url, { credentials: 'strip' }) },
      routes: [QUEUE, queryRoute()],
      ...sections,
    })
    const start = async (role: string, more = config) =>
      open.use(await startGateway(more, {}, role === 'all' ? [] : ['--role', role]))
    const clientOf = ({ url }: TestGateway) => new JobClient(url, token)
    const q = (name: string) => ({ q: `${name} ${crypto.randomUUID()}` })
    return { config, start, clientOf, q }
  }

  test('a worker has no data port, and runs what a gateway takes in', async () => {
    await using open = new AsyncDisposableStack()
    const { start, clientOf, q } = await setup(open)
    const [door, worker] = await Promise.all([start('gateway'), start('worker')])
    const listening = worker.lines.find(({ msg }) => msg === 'listening')!
    assert.deepEqual([listening.url, listening.role], [null, 'worker'])
    assert.equal((await ask(worker.adminUrl, { path: '/readyz' })).status, 200)

    const body = q('by a worker')
    gate.letGo(body.q)
    const client = clientOf(door)
    const { status, attempt } = await client.ended((await client.submit('/api/job', body)).id)
    assert.deepEqual([status, attempt], ['succeeded', 1])
    assert.equal(await worker.metric('sluice_jobs_total', { status: 'succeeded' }), 1)
    assert.equal(await worker.metric('sluice_workers'), 16)
    assert.equal(await door.metric('sluice_jobs_total', { status: 'queued' }), 1)
    assert.equal(await door.metric('sluice_workers'), 0)
  })

  test('a gateway alone takes jobs in, and keeps them until a worker comes', async () => {
    await using open = new AsyncDisposableStack()
    const { start, clientOf, q } = await setup(open)
    const client = clientOf(await start('gateway'))
    const bodies = [q('kept'), q('kept'), q('kept')]
    const submitted = await Promise.all(bodies.map((body) => client.submit('/api/job', body)))
    const held = await client.look(submitted[0]!.id, { prefer: 'wait=1' })
    assert.deepEqual([held.status, held.attempt], ['queued', 0])
    assert.ok(bodies.every(({ q }) => !gate.names().includes(q)))

    for (const { q } of bodies) gate.letGo(q)
    await start('worker')
    const ended = await Promise.all(submitted.map(({ id }) => client.ended(id)))
    assert.deepEqual([...new Set(ended.map(({ status }) => status))], ['succeeded'])
  })

  test('a worker of several processes opens no data port in any of them', async () => {
    await using open = new AsyncDisposableStack()
    const { config, start, clientOf, q } = await setup(open, { server: { processes: 2, port: await freePort() } })
    const door = await start('gateway')
    const worker = await start('worker', config) // on the same port, if it opened any
    assert.equal(worker.lines.find(({ msg }) => msg === 'listening')!.url, null)
    assert.equal(childrenOf(worker.pid).length, 2)
    assert.equal(await worker.metric('sluice_workers'), 32)
    assert.equal(await door.metric('sluice_workers'), 0)

    const client = clientOf(door)
    const bodies = Array.from({ length: 6 }, () => q('by several'))
    for (const { q } of bodies) gate.letGo(q)
    const submitted = await Promise.all(bodies.map((body) => client.submit('/api/job', body)))
    await Promise.all(submitted.map(({ id }) => client.ended(id)))
    assert.equal(await worker.metric('sluice_jobs_total', { status: 'succeeded' }), 6)
    assert.equal(await door.metric('sluice_jobs_total', { status: 'queued' }), 6)
    assert.equal(await worker.stop(), 0)
  })

  test('a worker that is ended lets its job finish within the drain timeout, and says meanwhile that it drains', async () => {
    await using open = new AsyncDisposableStack()
    const { start, clientOf, q } = await setup(open, { server: { drainTimeout: '30s' } })
    const [door, worker] = await Promise.all([start('gateway'), start('worker')])
    const client = clientOf(door)
    const [body, next] = [q('finishes'), q('waits')]
    const { id } = await client.submit('/api/job', body)
    const held = await gate.arrival(body.q)
    const stopped = worker.stop()
    await until(async () => (await ask(worker.adminUrl, { path: '/readyz' })).status === 503, 'the drain')
    const { id: later } = await client.submit('/api/job', next)
    held.letGo()
    assert.deepEqual(await stopped, 0)
    const { status, attempt } = await client.ended(id)
    assert.deepEqual([status, attempt], ['succeeded', 1])
    assert.equal((await client.look(later)).status, 'queued') // it took no more
  })

  test('a job that is longer than the drain timeout is given back, and its next run is its first', async () => {
    await using open = new AsyncDisposableStack()
    const { start, clientOf, q } = await setup(open, { server: { drainTimeout: '200ms' } })
    const [door, worker] = await Promise.all([start('gateway'), start('worker')])
    const client = clientOf(door)
    const body = q('is given back')
    const { id } = await client.submit('/api/job', body)
    const held = await gate.arrival(body.q)
    assert.equal((await client.look(id)).attempt, 1)
    assert.equal(await worker.stop(), 0)
    assert.equal(await held.over, 'aborted')
    const queued = await client.look(id)
    assert.deepEqual([queued.status, queued.attempt, queued.position], ['queued', 0, 1])

    await start('worker')
    ;(await gate.arrival(body.q, 2)).letGo()
    const { status, attempt } = await client.ended(id)
    assert.deepEqual([status, attempt], ['succeeded', 1])
  })

  test('a whole gateway that is ended takes no more jobs, while requests of its clients still run', async () => {
    await using open = new AsyncDisposableStack()
    const { start, clientOf, q } = await setup(open, { server: { drainTimeout: '30s' } })
    const [whole, door] = await Promise.all([start('all'), start('gateway')])
    const [asked, body] = [q('request'), q('job')]
    const reply = clientOf(whole).post('/api/query', asked)
    const held = await gate.arrival(asked.q)
    const stopped = whole.stop()
    await until(async () => (await ask(whole.adminUrl, { path: '/readyz' })).status === 503, 'the drain')
    const client = clientOf(door)
    const { id } = await client.submit('/api/job', body)
    assert.equal((await client.look(id, { prefer: 'wait=1' })).status, 'queued')
    held.letGo()
    assert.equal((await reply).status, 200)
    assert.equal(await stopped, 0)
  })
})
