/** What is not dead but does not answer, and what is cut off in the middle: all jobs end, nobody waits for ever. */
import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { LEASE_MS } from '../../src/queue/scheduler.ts'
import type { Reply } from '../support/client.ts'
import { startGateway } from '../support/gateway.ts'
import { startOrigin } from '../support/origin.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'
import { type Accepted, Clients } from './clients.ts'
import { Fleet, fleetConfig, pause, redisStore } from './fleet.ts'
import { startOriginOfJobs } from './origin-of-jobs.ts'
import { Records } from './records.ts'

test('a job of a worker that stalls longer than its lease runs elsewhere, and has one result', async () => {
  await using redis = await startRedis()
  const answers: ServerResponse[] = []
  await using origin = await startOrigin((_req, res) => void answers.push(res))
  const config = fleetConfig(origin.url, redisStore(redis.url), { concurrency: 4 })
  await using stalled = await startGateway(config)
  const clients = new Clients(() => stalled)
  const id = await clients.submit({ n: 1, tenant: 'acme', ms: 0 })
  await origin.arrived(1)
  await using other = await startGateway(config)
  stalled.signal('SIGSTOP')
  await until(() => answers.length === 2, 'the second execution', LEASE_MS + 12_000)
  answers[1]!.end('of the other')
  const others = new Clients(() => other)
  const show = async () => JSON.parse((await others.get(`/_sluice/jobs/${id}`, 'acme')).body)
  await until(async () => (await show()).status === 'succeeded', 'the end of the job')
  const ended = await show()
  const lostThere = await other.metric('sluice_leases_lost_total')

  answers[0]!.end('of the one that stalled')
  stalled.signal('SIGCONT')
  const refusals = () => stalled.metric('sluice_leases_lost_total')
  await until(async () => (await refusals()) === 1, 'the refusal of the late result')
  assert.equal(lostThere, 1, 'the lease is counted by who found it')
  assert.equal(ended.attempt, 2)
  assert.deepEqual(await show(), ended, 'nothing about the job changes any more')
  assert.equal((await others.get(`/_sluice/jobs/${id}/result`, 'acme')).body, 'of the other')
  assert.equal(origin.seen.length, 2)
})

const TENANTS = 10
const MAX_EACH = 2
/** How long the load lasts. */
const LOAD_MS = 16_000
const SUBMIT_MS = 250
/** Questions of a tenant at once, and how often: so that most of them wait in the line, for a push. */
const BURST = 8
const BURST_MS = 1_000
/** Longest for a waiting request: the outage, its own line, and a push that was missed. */
const ANSWERED_WITHIN_MS = 20_000
/** A claim whose answer nobody heard costs its job a lease. */
const ENDS_WITHIN_MS = 60_000

/** Submissions and questions of ten tenants at two gateways, while `trouble` happens. */
async function underLoad(trouble: (redis: TestRedis) => Promise<void>, diagnostic: (text: string) => void) {
  await using redis = await startRedis()
  await using origin = await startOriginOfJobs()
  const tenant = { maxConcurrentQueries: MAX_EACH, softConcurrentQueries: MAX_EACH }
  const config = fleetConfig(origin.url, redisStore(redis.url), { concurrency: 16, tenant })
  await using fleet = await Fleet.start(2, config)
  await using records = new Records({ url: redis.url })
  using clients = new Clients(() => fleet.next())
  const untilAt = performance.now() + LOAD_MS
  let n = 0
  const submitting = async (tenant: string) => {
    while (performance.now() < untilAt) {
      await clients.submit({ n: n++, tenant, ms: 30 })
      await pause(SUBMIT_MS)
    }
  }
  const asked: Promise<Reply | null>[] = []
  const asking = async (tenant: string) => {
    while (performance.now() < untilAt) {
      for (let one = 0; one < BURST; one++) asked.push(clients.post('/api/query', { n: n++, tenant, ms: 30 }))
      await pause(BURST_MS)
    }
  }
  const tenants = Array.from({ length: TENANTS }, (_, nth) => `tenant${nth}`)
  const load = tenants.flatMap((tenant) => [submitting(tenant), asking(tenant)])
  await Promise.all([...load, trouble(redis)])
  const replies = await Promise.all(asked)
  const statuses = Map.groupBy(replies, (reply) => reply?.status)
  const slowest = Math.max(...replies.map((reply) => reply?.tookMs ?? 0))
  const ended = await records.whenEnded(clients.accepted, ENDS_WITHIN_MS)
  const lost = ended.reduce((sum, record) => sum + record.lost, 0)
  diagnostic(
    `${ended.length} jobs, ${lost} lost leases; ${replies.length} questions, the slowest ${Math.round(slowest)} ms; ` +
      `refused submissions: ${JSON.stringify([...clients.refused])}`,
  )
  assert.deepEqual([...statuses.keys()], [200], 'every question is answered')
  assert.ok(slowest < ANSWERED_WITHIN_MS, `the slowest answer took ${slowest} ms`)
  assert.deepEqual(
    ended.filter(({ status }) => status !== 'succeeded'),
    [],
  )
  for (const [at, { task }] of clients.accepted.entries()) {
    const executions = origin.executions.get(task.n) ?? 0
    assert.ok(executions >= 1 && executions <= 1 + ended[at]!.lost, `task ${task.n}: ${executions} executions`)
  }
  return { origin, ended, replies, accepted: clients.accepted as readonly Accepted[] }
}

test('a Redis that stops for ten seconds under load costs no job and no answer', async (t) => {
  await underLoad(
    async (redis) => {
      await pause(3_000)
      redis.pause()
      await pause(10_000)
      redis.resume()
    },
    (text) => t.diagnostic(text),
  )
})

test('a Redis that throws out every connection, again and again, costs no job and no answer', async (t) => {
  await underLoad(
    async (redis) => {
      for (let round = 0; round < 6; round++) {
        await pause(2_000)
        for (const type of ['normal', 'pubsub']) await redis.command('CLIENT', 'KILL', 'TYPE', type)
      }
    },
    (text) => t.diagnostic(text),
  )
})

test('a Redis that forgets its scripts, again and again, is sent them again', async (t) => {
  const { ended, replies } = await underLoad(
    async (redis) => {
      for (let round = 0; round < 24; round++) {
        await pause(500)
        await redis.command('SCRIPT', 'FLUSH')
      }
    },
    (text) => t.diagnostic(text),
  )
  assert.ok(
    ended.every(({ lost }) => lost === 0),
    'no lease is lost over it',
  )
  assert.ok(replies.every((reply) => reply!.tookMs < 5_000))
})
