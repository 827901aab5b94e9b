/** The master of the store is lost under load; what was accepted is on the replica, and the fleet finds it by itself. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startSentinels, type TestSentinels } from '../support/sentinel.ts'
import { until } from '../support/until.ts'
import { Clients } from './clients.ts'
import { Fleet, fleetConfig, pause } from './fleet.ts'
import { startOriginOfJobs } from './origin-of-jobs.ts'
import { Records } from './records.ts'

const TENANTS = 10
const SUBMIT_MS = 150
/** Load before the loss, and after it. */
const BEFORE_MS = 5_000
const AFTER_MS = 15_000
/** A beat of the store's that fails, and the way anew. */
const FOUND_WITHIN_MS = 10_000
const ENDS_WITHIN_MS = 60_000

/**
 * @param lose takes the master away, and gives back what there shall be afterwards: a replica, without which nothing
 * replicated is accepted
 */
async function underLoad(
  lose: (sentinels: TestSentinels) => Promise<(fleet: Fleet) => Promise<void>>,
  diagnostic: (text: string) => void,
) {
  await using sentinels = await startSentinels()
  await using origin = await startOriginOfJobs()
  const { name, nodes } = sentinels
  const config = fleetConfig(
    origin.url,
    { kind: 'redis', sentinel: { name, nodes } },
    { concurrency: 16, submit: { durability: 'replicated' } },
  )
  await using fleet = await Fleet.start(2, config)
  await using records = new Records({ sentinel: { name, nodes } })
  using clients = new Clients(() => fleet.next())
  let isOver = false
  let n = 0
  const submitting = async (tenant: string) => {
    while (!isOver) {
      await clients.submit({ n: n++, tenant, ms: 30 })
      await pause(SUBMIT_MS)
    }
  }
  const load = Promise.all(Array.from({ length: TENANTS }, (_, nth) => submitting(`tenant${nth}`)))
  load.catch(() => {}) // where the test fails before it is waited for
  await pause(BEFORE_MS)
  const lostAt = performance.now()
  const before = clients.accepted.length
  const restore = await lose(sentinels)
  await sentinels.failedOver()
  const failedOverMs = performance.now() - lostAt
  await restore(fleet)
  const atFailover = clients.accepted.length
  await pause(AFTER_MS)
  isOver = true
  await load
  const ended = await records.whenEnded(clients.accepted, ENDS_WITHIN_MS)
  const total = clients.accepted.length
  const lost = ended.reduce((sum, record) => sum + record.lost, 0)
  diagnostic(
    `failed over after ${Math.round(failedOverMs)} ms; accepted: ${before} before the loss, ${atFailover - before} in it, ` +
      `${total - atFailover} after; ${lost} lost leases, ${origin.total} executions; refused ${JSON.stringify([...clients.refused])}`,
  )
  assert.ok(before > 100, `only ${before} were accepted before the loss`)
  assert.ok(total - atFailover > 100, 'it goes on by itself')
  assert.deepEqual(
    ended.filter(({ status }) => status !== 'succeeded'),
    [],
  )
  assert.equal(new Set(clients.accepted.map(({ id }) => id)).size, total)
}

test('every accepted job survives the kill of the master, and work goes on', async (t) => {
  await underLoad(
    async (sentinels) => {
      const [first] = sentinels.servers
      await sentinels.killMaster()
      return () => first.restart() // as the replica of the other
    },
    (text) => t.diagnostic(text),
  )
})

test('every accepted job survives a master that hangs, and comes back as if nothing had been', async (t) => {
  await underLoad(
    async (sentinels) => {
      const resume = await sentinels.pauseMaster()
      return async (fleet) => {
        const areUp = async () => (await fleet.metric('sluice_store_up')) === fleet.living.length
        await until(areUp, 'the way to the new master, while the old one hangs', FOUND_WITHIN_MS)
        resume() // for a while it takes writes as if it were the master still
      }
    },
    (text) => t.diagnostic(text),
  )
})
