import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Ran, sluice } from '../support/cli.ts'
import { tokenFor } from '../support/client.ts'
import { configFor, queryRoute, upstream, WIDE } from '../support/config.ts'
import { type Gate, startGate } from '../support/gate.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { JobClient, openStore } from '../support/jobs.ts'

const QUEUE = { name: 'report', match: { method: 'POST', path: '/api/job' }, mode: 'queue', class: 'batch' }

/** One runs and two wait of acme, paused is umbrella, and one of globex failed. */
describe('the verbs over the admin API', () => {
  const open = new AsyncDisposableStack()
  let gate: Gate
  let gateway: TestGateway
  let client: Record<'acme' | 'globex', JobClient>
  let acme: string[]
  let failed: string
  before(async () => {
    gate = open.use(await startGate())
    const { settings } = await openStore('embedded', open)
    const tenants = {
      default: { ...WIDE, maxConcurrentQueries: 1, maxQueueSize: 50 },
      plans: { premium: { weight: 4 } },
      list: { acme: { plan: 'premium' }, globex: {}, umbrella: { paused: true } },
    }
    const upstreams = { main: upstream(gate.url, { credentials: 'strip' }) }
    const admin = { port: 0, token: 'an-admin-token' }
    gateway = open.use(
      await startGateway(
        configFor(gate.url, { store: settings, tenants, upstreams, routes: [QUEUE, queryRoute()] }).replace(
          'admin:\n',
          `admin:\n  token: ${admin.token}\n`,
        ),
      ),
    )
    client = {
      acme: new JobClient(gateway.url, await tokenFor('acme')),
      globex: new JobClient(gateway.url, await tokenFor('globex')),
    }
    gate.letGo('failing', (res) => res.writeHead(422).end())
    failed = (await client.globex.submit('/api/job', { q: 'failing' })).id
    await client.globex.ended(failed)
    acme = []
    for (const q of ['runs', 'waits', 'is cancelled']) acme.push((await client.acme.submit('/api/job', { q })).id)
    await gate.arrival('runs')
  })
  after(() => open.disposeAsync())

  const run = (...args: string[]): Promise<Ran> =>
    sluice(...args, '--admin', gateway.adminUrl, '--token', 'an-admin-token')
  /** The words of each line; two spaces or more stand between columns. */
  const cells = ({ out, err, code }: Ran): string[][] => {
    assert.deepEqual([code, err], [0, ''])
    return out
      .trimEnd()
      .split('\n')
      .map((line) => line.trim().split(/ {2,}/))
  }

  test('jobs list shows them as a table, the newest first, and some of them by tenant, status and number', async () => {
    const [headings, ...rows] = cells(await run('jobs', 'list'))
    assert.deepEqual(headings, ['ID', 'TENANT', 'STATUS', 'ROUTE', 'CLASS', 'AGE', 'TOOK', 'TRY', 'ERROR'])
    assert.deepEqual(
      rows.map(([id]) => id),
      [...acme.toReversed(), failed],
    )
    const [id, tenant, status, route, cls, age, took, attempt, error] = rows.at(-1)!
    assert.deepEqual([id, tenant, status, route, cls], [failed, 'globex', 'failed', 'report', 'batch'])
    assert.deepEqual([attempt, error], ['1', 'UPSTREAM_STATUS'])
    assert.match(`${age} ${took}`, /^\d+s \d+s$/)

    const [, ...running] = cells(await run('jobs', 'list', '--tenant', 'acme', '--status', 'running'))
    assert.deepEqual(
      running.map(([id]) => id),
      [acme[0]],
    )
    const limited = await run('jobs', 'list', '--limit', '2')
    assert.equal(limited.out.trimEnd().split('\n').length, 3)
    assert.match(limited.err, /there are more/)
    const { jobs, nextCursor } = JSON.parse((await run('jobs', 'list', '--json', '--limit', '2')).out)
    assert.equal(jobs.length, 2)
    assert.equal(typeof nextCursor, 'string')
    assert.equal(cells(await run('jobs', 'list', '--dead')).length, 1)
  })

  test('jobs show tells all of one', async () => {
    const { out } = await run('jobs', 'show', failed)
    assert.match(out, new RegExp(`^id +${failed}$`, 'm'))
    assert.match(out, /^status +failed$/m)
    assert.match(out, /^ {2}code +UPSTREAM_STATUS$/m)
    assert.equal(JSON.parse((await run('jobs', 'show', failed, '--json')).out).tenant, 'globex')
    const missing = await run('jobs', 'show', failed, '--tenant', 'acme')
    assert.deepEqual([missing.code, missing.out], [1, ''])
    assert.match(missing.err, /^sluice: JOB_NOT_FOUND: there is no job .* of acme/)
  })

  test('queues shows the tenants with work, their limits and the upstreams', async () => {
    const [headings, first, total, , upstreams, main] = cells(await run('queues'))
    assert.deepEqual(headings!.slice(0, 3), ['TENANT', 'RUNNING', 'OF'])
    assert.match(first!.join(' '), /^acme 1 1 0 0 \d 50 \d+s 4$/)
    assert.equal(total![0], 'total')
    assert.deepEqual(upstreams, ['UPSTREAM', 'BREAKER', 'ROOM', 'WIDTH', 'AGAIN IN'])
    assert.deepEqual(main, ['main', 'closed', '-', '10000', '-'])
    assert.equal(JSON.parse((await run('queues', '--json')).out).tenants[0].tenant, 'acme')
  })

  test('tenants list shows what each may do and does, tenants show all its limits', async () => {
    const [headings, acme, , umbrella] = cells(await run('tenants', 'list'))
    assert.deepEqual(headings!.slice(0, 4), ['TENANT', 'PLAN', 'WEIGHT', 'CONCURRENT'])
    assert.match(acme!.join(' '), /^acme premium 4 1 0 50 1 \d \d+s$/)
    assert.equal(umbrella![0], 'umbrella')
    assert.match((await run('tenants', 'show', 'acme')).out, /^ {2}maxExecutionTime +5m$/m)
    const missing = await run('tenants', 'show', 'nobody')
    assert.equal(missing.code, 1)
    assert.match(missing.err, /NOT_FOUND: the config has no tenant "nobody"/)
  })

  test('jobs cancel, retry and drop do so once, and say why not', async () => {
    const id = acme[2]!
    assert.equal((await run('jobs', 'cancel', id)).out, `${id} is cancelled\n`)
    const again = await run('jobs', 'retry', id)
    assert.equal(again.code, 1)
    assert.match(again.err, /JOB_NOT_FINISHED: .* is cancelled/)
    const late = await run('jobs', 'cancel', failed)
    assert.deepEqual([late.code, late.err], [1, `sluice: ${failed} has ended already: it is failed\n`])
    assert.equal((await run('jobs', 'drop', id)).out, `${id} is forgotten\n`)
    assert.equal((await run('jobs', 'drop', id)).code, 1)

    const other = (await client.globex.submit('/api/job', { q: 'failing' })).id
    await client.globex.ended(other)
    gate.letGo('failing')
    assert.match((await run('jobs', 'retry', other)).out, new RegExp(`^${other} is (queued at position 1|running)`))
    assert.equal((await client.globex.ended(other)).status, 'succeeded')
  })

  test('without the right token nothing is told', async () => {
    const { code, err } = await sluice('jobs', 'list', '--admin', gateway.adminUrl)
    assert.equal(code, 1)
    assert.match(err, /TOKEN_MISSING.*--token TOKEN or SLUICE_ADMIN_TOKEN/)
  })
})
