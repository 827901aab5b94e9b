/** What a fleet costs Redis while nothing happens. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { Fleet, fleetConfig, pause, redisStore } from './fleet.ts'
import { startOriginOfJobs } from './origin-of-jobs.ts'

const PROCESSES = 8
/** What is done once at the start, and what the first minute's short rests have, is over by then. */
const SETTLES_MS = 12_000
const MEASURED_MS = 20_000
const MAX_PER_SECOND = 20

test('an idle fleet of eight processes makes at most 20 Redis commands per second in all', async (t) => {
  await using redis = await startRedis()
  await using origin = await startOriginOfJobs()
  await using fleet = await Fleet.start(PROCESSES, fleetConfig(origin.url, redisStore(redis.url), { concurrency: 16 }))
  assert.equal(fleet.living.length, PROCESSES)
  await pause(SETTLES_MS)
  const before = await callsOf(redis)
  const startedAt = performance.now()
  await pause(MEASURED_MS)
  const after = await callsOf(redis)
  const seconds = (performance.now() - startedAt) / 1_000
  const perSecond = new Map<string, number>()
  for (const [name, calls] of after) perSecond.set(name, (calls - (before.get(name) ?? 0)) / seconds)
  perSecond.delete('info') // our own
  const all = [...perSecond.values()].reduce((sum, rate) => sum + rate, 0)
  const told = [...perSecond].filter(([, rate]) => rate > 0).sort(([, a], [, b]) => b - a)
  const figures = `${all.toFixed(1)} commands/s: ${told.map(([name, rate]) => `${name} ${rate.toFixed(1)}`).join(', ')}`
  t.diagnostic(figures)
  assert.ok(all <= MAX_PER_SECOND, figures)
})

/** Calls since the start by command, those inside scripts included. */
async function callsOf(redis: TestRedis): Promise<Map<string, number>> {
  const info = String(await redis.command('INFO', 'commandstats'))
  return new Map([...info.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)].map(([, name, calls]) => [name!, Number(calls)]))
}
