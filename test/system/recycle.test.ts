import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { describe, test } from 'node:test'
import { ask, query, tokenFor } from '../support/client.ts'
import { configFor, queryRoute, upstream } from '../support/config.ts'
import { startGate } from '../support/gate.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { JobClient, type JobDocument, openStore } from '../support/jobs.ts'
import { freePort } from '../support/ports.ts'
import { childrenOf } from '../support/processes.ts'
import { until } from '../support/until.ts'

const QUEUE = { name: 'report', match: { method: 'POST', path: '/api/job' }, mode: 'queue' }

/** A process that drains answers at once whoever waits for a job in it: it is waited for anew. */
async function endOf(client: JobClient, id: string): Promise<JobDocument> {
  for (;;) {
    const document = await client.look(id, { prefer: 'wait=20' })
    if (document.finishedAt !== null) return document
  }
}

/** Processes that are replaced in time, by a limit of jobs or by death; each test has a Redis of its own. */
describe('processes that run jobs', { concurrency: 2 }, () => {
  async function setup(open: AsyncDisposableStack, sections: Record<string, unknown>) {
    const gate = open.use(await startGate())
    const token = await tokenFor('acme')
    const store = await openStore('redis', open)
    const config = configFor(gate.url, {
      store: store.settings,
      upstreams: { main: upstream(gate.url, { credentials: 'strip' }) },
      routes: [QUEUE, queryRoute()],
      ...sections,
      server: { port: await freePort(), drainTimeout: '20s', ...(sections.server as object) },
    })
    const gateway = open.use(await startGateway(config))
    const q = (nth: number | string) => ({ q: `${nth}` })
    const asked = (nth: number | string) => gate.names().filter((name) => name === q(nth).q).length
    return { gate, token, gateway, client: new JobClient(gateway.url, token), q, asked }
  }

  /** In which processes attempts of jobs ended. */
  const pidsOf = ({ lines }: TestGateway) =>
    new Set(lines.filter(({ msg }) => msg === 'an attempt of a job ended').map(({ pid }) => pid))

  test('one that has run its jobs is replaced under load, and nothing is lost or done twice', async () => {
    await using open = new AsyncDisposableStack()
    const sections = { workers: { concurrency: 4, maxJobsPerProcess: 10 } }
    const { gate, token, gateway, client, q, asked } = await setup(open, sections)
    const first = childrenOf(gateway.pid)
    assert.equal(first.length, 1) // one process, and who looks after it

    let count = 0
    let most = 0
    let running = true
    open.defer(() => {
      running = false
    })
    const watched = (async () => {
      while (running) {
        most = Math.max(most, childrenOf(gateway.pid).length)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    })()
    const asking = (async () => {
      const statuses = new Set<number>()
      for (let nth = 0; running; nth++) statuses.add((await query(gateway.url, token, q(`asked ${nth}`))).status)
      return statuses
    })()
    gate.letGo()
    const submitting = async () => {
      const ended: JobDocument[] = []
      while (gateway.lines.filter(({ replaced }) => replaced !== undefined).length < 3) {
        const nth = count++
        gate.letGo(q(nth).q, (res) => setTimeout(() => res.end('{}'), 50))
        ended.push(await endOf(client, (await client.submit('/api/job', q(nth))).id))
      }
      return ended
    }
    const ended = (await Promise.all(Array.from({ length: 12 }, submitting))).flat()
    running = false
    await watched

    assert.deepEqual([...new Set(ended.map(({ status, attempt }) => `${status} ${attempt}`))], ['succeeded 1'])
    assert.equal(ended.length, count)
    assert.ok(Array.from({ length: count }, (_, nth) => asked(nth)).every((times) => times === 1))
    assert.ok(pidsOf(gateway).size >= 3, `${pidsOf(gateway).size} processes ran jobs`)
    assert.ok(most <= 2, `${most} processes at a time`)
    assert.deepEqual([...(await asking)], [200])
    assert.equal(await gateway.metric('sluice_jobs_total', { status: 'succeeded' }), count) // the leavers' included
    assert.ok(!gateway.lines.some(({ msg }) => String(msg).startsWith('a process died')))
    assert.equal(await gateway.stop(), 0)
  })

  test('one that is to be replaced finishes what it runs, and answers whose connection it has taken', async () => {
    await using open = new AsyncDisposableStack()
    const { gate, token, gateway, client, q, asked } = await setup(open, {
      workers: { concurrency: 2, maxJobsPerProcess: 1 },
    })
    const [spent] = childrenOf(gateway.pid)
    const { id } = await client.submit('/api/job', q('long'))
    const long = await gate.arrival(q('long').q)
    const agent = open.adopt(new Agent({ keepAlive: true }), (agent) => agent.destroy())
    const health = () => ask(gateway.url, { path: '/_sluice/health/live', agent })
    assert.equal((await health()).headers.connection, 'keep-alive')
    gate.letGo(q('short').q)
    await client.ended((await client.submit('/api/job', q('short'))).id)
    const line = await gateway.logged((line) => line.replaced === spent)
    assert.deepEqual([(await health()).status, (await health()).status], [200, 200]) // on the old connection, and a new one
    gate.letGo(q('asked').q)
    assert.equal((await query(gateway.url, token, q('asked'))).status, 200)
    long.letGo()
    const { status, attempt } = await client.ended(id)
    assert.deepEqual([status, attempt, asked('long')], ['succeeded', 1, 1])
    await until(() => !childrenOf(gateway.pid).includes(spent!), 'the end of the spent one')
    assert.deepEqual(childrenOf(gateway.pid), [line.by])
  })

  test('one that is alone says that a limit set later holds only after a restart', async () => {
    await using open = new AsyncDisposableStack()
    const { gateway } = await setup(open, {})
    assert.deepEqual(childrenOf(gateway.pid), [])
    const text = readFileSync(gateway.configFile, 'utf8')
    writeFileSync(gateway.configFile, `${text}\nworkers: { maxJobsPerProcess: 5 }\n`)
    const line = await gateway.logged(({ needRestart }) => needRestart !== undefined)
    assert.deepEqual(line.needRestart, ['workers.maxJobsPerProcess'])
  })

  test('two share the jobs, their metrics are added up, and the first process runs none', async () => {
    await using open = new AsyncDisposableStack()
    const sections = { server: { processes: 2 }, workers: { concurrency: 2 } }
    const { gate, gateway, client, q, asked } = await setup(open, sections)
    const submitted = []
    for (let nth = 0; nth < 4; nth++) submitted.push(await client.submit('/api/job', q(nth)))
    for (let nth = 0; nth < 4; nth++) await gate.arrival(q(nth).q) // all four at a time: both processes have two
    for (let nth = 0; nth < 4; nth++) gate.letGo(q(nth).q)
    const ended = await Promise.all(submitted.map(({ id }) => client.ended(id)))
    assert.deepEqual([...new Set(ended.map(({ status }) => status))], ['succeeded'])
    assert.deepEqual([0, 1, 2, 3].map(asked), [1, 1, 1, 1])
    await until(() => pidsOf(gateway).size === 2, 'lines of both')
    assert.deepEqual([...pidsOf(gateway)].sort(), childrenOf(gateway.pid).sort())
    assert.equal(await gateway.metric('sluice_jobs_total', { status: 'queued' }), 4)
    assert.equal(await gateway.metric('sluice_jobs_total', { status: 'succeeded' }), 4)
    assert.equal(await gateway.metric('sluice_workers'), 4)

    // What the first process counts is on the page as well.
    const { id } = await client.submit('/api/job', q('cancelled'))
    await gate.arrival(q('cancelled').q)
    const reply = await ask(gateway.adminUrl, { method: 'POST', path: `/admin/v1/jobs/${id}/cancel` })
    assert.equal(JSON.parse(reply.body).status, 'cancelled')
    assert.equal(await gateway.metric('sluice_jobs_total', { status: 'cancelled' }), 1)
  })

  test('one that is killed is replaced, its job runs again within a lease, and what it had counted stays', async () => {
    await using open = new AsyncDisposableStack()
    const { gate, gateway, client, q } = await setup(open, { workers: { concurrency: 2, maxJobsPerProcess: 1_000 } })
    gate.letGo(q('counted').q)
    await client.ended((await client.submit('/api/job', q('counted'))).id)
    assert.equal(await gateway.metric('sluice_jobs_total', { status: 'succeeded' }), 1)
    const { id } = await client.submit('/api/job', q('survives'))
    const held = await gate.arrival(q('survives').q)
    const [victim] = childrenOf(gateway.pid)
    process.kill(victim!, 'SIGKILL')
    assert.equal(await held.over, 'aborted')
    await until(() => childrenOf(gateway.pid).some((pid) => pid !== victim), 'another process')
    ;(await gate.arrival(q('survives').q, 2)).letGo()
    await until(async () => (await client.look(id).catch(() => null))?.status === 'succeeded', 'its success')
    assert.equal((await client.look(id)).attempt, 2)
    assert.equal(await gateway.metric('sluice_jobs_total', { status: 'succeeded' }), 2)
  })
})
