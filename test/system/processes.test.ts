import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { ask, query, type Reply, tokenFor } from '../support/client.ts'
import { configFor, queryRoute, redisStore } from '../support/config.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { type Origin, startOrigin } from '../support/origin.ts'
import { freePort } from '../support/ports.ts'
import { childrenOf, isAlive } from '../support/processes.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'

/** Two processes and the one that looks after them, on one port and one Redis. */
describe('server.processes: 2', () => {
  let redis: TestRedis
  let origin: Origin
  let gateway: TestGateway
  let port: number
  let token: string
  const config = (sections: Record<string, unknown> = {}) =>
    configFor(origin.url, {
      server: { processes: 2, port },
      store: redisStore(redis.url),
      ...sections,
    })
  before(async () => {
    redis = await startRedis()
    origin = await startOrigin()
    port = await freePort()
    gateway = await startGateway(config())
    token = await tokenFor('acme')
  })
  after(async () => {
    await (gateway as TestGateway | undefined)?.[Symbol.asyncDispose]()
    await origin[Symbol.asyncDispose]()
    await redis[Symbol.asyncDispose]()
  })

  /** Each over a connection of its own, so that both processes get some. */
  const many = (n: number, once: (n: number) => Promise<Reply>) =>
    Promise.all(Array.from({ length: n }, (_, at) => once(at)))
  const accessLines = (route: string) => gateway.lines.filter((line) => line.log === 'access' && line.route === route)

  test('both serve the one port, and share what they cached', async () => {
    const seenBefore = origin.seen.length
    const replies = await many(40, () => query(gateway.url, token, { dataset: 'shared' }))
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [200])
    assert.equal(origin.seen.length, seenBefore + 1)
    await until(() => accessLines('query').length >= 40, 'the access log')
    const pids = new Set(accessLines('query').map(({ pid }) => pid))
    assert.equal(pids.size, 2)
    assert.ok(!pids.has(gateway.pid))
  })

  test('the metrics of both are added up at the admin port, and states are not', async () => {
    const labels = { route: 'query', tenant: 'acme' }
    const before = await gateway.metric('sluice_requests_total', labels)
    await many(40, () => query(gateway.url, token, { dataset: 'counted' }))
    assert.equal((await gateway.metric('sluice_requests_total', labels)) - before, 40)
    assert.equal(await gateway.metric('sluice_store_up'), 1)
    assert.equal(await gateway.metric('sluice_upstream_healthy', { upstream: 'main' }), 1)
  })

  test('a purge at the admin port reaches both, their own tiers too', async () => {
    const ask = () => query(gateway.url, token, { dataset: 'purged' })
    origin.answer((_req, res) => void res.end('old'))
    await many(20, ask)
    origin.answer((_req, res) => void res.end('new'))
    assert.equal((await many(20, ask))[0]!.body, 'old')
    const response = await fetch(`${gateway.adminUrl}/admin/v1/purge`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ tenant: 'acme', tags: ['dataset:purged'] }),
    })
    assert.equal(response.status, 200)
    const news = 'the news of the purge at both'
    await until(async () => (await many(20, ask)).every(({ body }) => body === 'new'), news, 1_000)
  })

  test('a changed config reaches both', async () => {
    const deny = [{ name: 'query', match: { path: '/api/query' }, mode: 'deny' }]
    writeFileSync(gateway.configFile, config({ routes: deny }))
    await until(async () => (await many(20, ask1)).every(({ status }) => status === 403), 'the change at both')
    writeFileSync(gateway.configFile, config({ routes: [queryRoute()] }))
    await until(async () => (await many(20, ask1)).every(({ status }) => status === 200), 'the change back at both')
  })
  const ask1 = () => query(gateway.url, token, { dataset: 'reloaded' })

  test('one that is killed is replaced, and nobody else notices', async () => {
    const victim = Number(accessLines('query')[0]!.pid)
    const seenBefore = gateway.lines.length
    process.kill(victim, 'SIGKILL')
    const line = await gateway.logged((line) => String(line.msg).startsWith('a process died'))
    assert.deepEqual([line.died, line.signal], [victim, 'SIGKILL'])
    const replies = await many(20, () => query(gateway.url, token, { dataset: 'after' }))
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [200])
    await until(async () => {
      await many(10, () => query(gateway.url, token, { dataset: 'after' }))
      const served = gateway.lines.slice(seenBefore).filter(({ log, pid }) => log === 'access' && pid !== victim)
      return new Set(served.map(({ pid }) => pid)).size === 2
    }, 'a second process that serves')
  })

  test('one that is born while the file is not valid runs by what the others run by', async () => {
    const server = { processes: 2, port: await freePort() }
    await using broken = await startGateway(config({ server }))
    const pids = childrenOf(broken.pid)
    writeFileSync(broken.configFile, config({ server, routes: [queryRoute({ ttl: '2m' })] }))
    await broken.logged((line) => line.msg === 'config reloaded')
    writeFileSync(broken.configFile, 'nothing: sensible')
    await broken.logged((line) => String(line.msg).includes('not valid'))
    for (const pid of pids) process.kill(pid, 'SIGKILL')
    await until(
      () => broken.lines.filter(({ msg }) => String(msg).startsWith('a process died')).length === 2,
      'the news',
    )
    await until(async () => {
      const reply = await query(broken.url, token, { dataset: 'born late' }).catch(() => null)
      return reply?.status === 200
    }, 'an answer')
    await until(() => childrenOf(broken.pid).length === 2, 'both being replaced')
    assert.equal(await broken.stop(), 0)
  })

  test('SIGTERM lets what runs in each finish, and ends with 0', async () => {
    await using leaving = await startGateway(config({ server: { processes: 2, port: 0 } }))
    const { promise: mayAnswer, resolve: answer } = Promise.withResolvers<void>()
    origin.answer(async (_req, res) => {
      await mayAnswer
      res.end('finished')
    })
    const seenBefore = origin.seen.length
    const running = many(6, (n) => query(leaving.url, token, { dataset: `leaving ${n}` }))
    await origin.arrived(seenBefore + 6)
    const pids = childrenOf(leaving.pid)
    assert.equal(pids.length, 2)
    const stopped = leaving.stop()
    await until(async () => {
      const ready = await ask(leaving.adminUrl, { path: '/readyz' }).catch(() => null)
      return ready?.status === 503
    }, 'the admin port saying that it drains')
    answer()
    assert.deepEqual([...new Set((await running).map(({ body }) => body))], ['finished'])
    assert.equal(await stopped, 0)
    for (const pid of pids) assert.ok(!isAlive(pid))
    origin.answer((_req, res) => void res.end('{"rows":[]}'))
  })

  test('SIGINT, which a terminal sends to all of them, does the same', async () => {
    await using leaving = await startGateway(config({ server: { processes: 2, port: 0 } }))
    const pids = childrenOf(leaving.pid)
    for (const pid of pids) process.kill(pid, 'SIGINT')
    leaving.signal('SIGINT')
    await until(() => leaving.lines.some(({ msg }) => msg === 'closed'), 'the orderly end')
    await until(() => !pids.some(isAlive) && !isAlive(leaving.pid), 'the end of all')
  })

  test('none is left behind when the first is killed', async () => {
    const orphaned = await startGateway(config({ server: { processes: 2, port: 0 } }))
    const pids = childrenOf(orphaned.pid)
    assert.equal(pids.length, 2)
    await orphaned[Symbol.asyncDispose]() // SIGKILL
    await until(() => !pids.some(isAlive), 'the end of the others')
  })

  test('a port that is taken is said at the start, and no process stays', async () => {
    const mark = `SLUICE_TEST=${crypto.randomUUID()}`
    const [name, value] = mark.split('=') as [string, string]
    await assert.rejects(startGateway(config(), { [name]: value }), /EADDRINUSE/)
    await until(() => startedWith(mark).length === 0, 'the end of all it had started')
  })
})

/** The processes that have `mark` in their environment, whoever their parent is by now. */
const startedWith = (mark: string): string[] =>
  readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && environmentOf(pid).includes(mark))

function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8')
  } catch {
    return '' // it has ended, or is not ours
  }
}
