/**
 * Workers are killed and the store is restarted while jobs run. Everything is real: gateway processes, their client, the
 * upstream that keeps count, Redis with an append-only file that is written before each answer.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startRedis } from '../support/redis.ts'
import { Clients } from './clients.ts'
import { Fleet, fleetConfig, pause, redisStore } from './fleet.ts'
import { startOriginOfJobs } from './origin-of-jobs.ts'
import { Records } from './records.ts'

const PROCESSES = 3
const CONCURRENCY = 16
const TENANTS = 20
const JOBS_EACH = 100
const MAX_EACH = 2
/** Between two kills. */
const KILL_MS = 2_000
/** A tenant submits so many at once, and so often, ms: each time a line builds up, and all of it takes about 30 s. */
const BURST = 10
const BURST_MS = 3_000
const RESTART_AFTER_MS = 12_000
/** Two leases, should a job lose two, and the line behind. */
const ENDS_WITHIN_MS = 60_000

test('every accepted job ends well, though workers are killed and Redis is restarted', async (t) => {
  await using redis = await startRedis('--appendonly', 'yes', '--appendfsync', 'always')
  await using origin = await startOriginOfJobs()
  const tenant = { maxConcurrentQueries: MAX_EACH, softConcurrentQueries: MAX_EACH }
  const config = fleetConfig(origin.url, redisStore(redis.url), { concurrency: CONCURRENCY, tenant })
  await using fleet = await Fleet.start(PROCESSES, config)
  await using records = new Records({ url: redis.url })
  using clients = new Clients(() => fleet.next())

  const submitAll = async (tenant: string, nth: number) => {
    const submit = (n: number) => clients.submit({ n: n * TENANTS + nth, tenant, ms: 20 + ((7 * n) % 41) })
    await pause((BURST_MS * nth) / TENANTS)
    for (let from = 0; from < JOBS_EACH; from += BURST) {
      await Promise.all([...Array.from({ length: BURST }, (_, n) => submit(from + n)), pause(BURST_MS)])
    }
  }
  let submitted = false
  let kills = 0
  const kill = async () => {
    while (!submitted) {
      await Promise.all([fleet.replace(kills % PROCESSES), pause(KILL_MS)])
      kills++
    }
  }
  const restart = async () => {
    await pause(RESTART_AFTER_MS)
    await redis.restart()
  }
  const tenants = Array.from({ length: TENANTS }, (_, nth) => `tenant${nth}`)
  const submitting = Promise.all(tenants.map(submitAll)).finally(() => {
    submitted = true
  })
  await Promise.all([submitting, kill(), restart()])
  const ended = await records.whenEnded(clients.accepted, ENDS_WITHIN_MS)

  const jobs = TENANTS * JOBS_EACH
  assert.equal(clients.accepted.length, jobs)
  assert.equal(new Set(clients.accepted.map(({ id }) => id)).size, jobs, 'each submission is one job')
  const bad = ended.filter(({ status }) => status !== 'succeeded')
  assert.deepEqual(bad, [], 'every job succeeds')

  let lost = 0
  for (const [at, { task }] of clients.accepted.entries()) {
    const executions = origin.executions.get(task.n) ?? 0
    lost += ended[at]!.lost
    assert.ok(executions >= 1, `task ${task.n} was never executed`)
    assert.ok(
      executions <= 1 + ended[at]!.lost,
      `task ${task.n}: ${executions} executions, ${ended[at]!.lost} lost leases`,
    )
  }
  const figures = `${kills} kills, ${lost} lost leases, ${origin.total} executions, refused: ${JSON.stringify([...clients.refused])}`
  t.diagnostic(figures)
  assert.ok(origin.total <= jobs + kills * CONCURRENCY, figures)
  for (const { id, task } of clients.accepted.slice(0, 100)) {
    const { status, body } = await clients.get(`/_sluice/jobs/${id}/result`, task.tenant)
    assert.deepEqual([status, body], [200, JSON.stringify({ n: task.n })])
  }
  for (const [name, peak] of origin.peaks) assert.ok(peak <= MAX_EACH, `${name} had ${peak} queries at once`)
})
