/** A Redis Cluster of three masters: every tenant's work is in one slot, and slots move while it goes on. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { CLUSTER_SHARDS, keySpace } from '../../src/kernel/redis/keys.ts'
import type { Reply } from '../support/client.ts'
import { startCluster, type TestCluster } from '../support/redis-cluster.ts'
import { Clients } from './clients.ts'
import { Fleet, fleetConfig, pause } from './fleet.ts'
import { type OriginOfJobs, startOriginOfJobs } from './origin-of-jobs.ts'
import { Records } from './records.ts'

const TENANTS = 100
const JOBS_EACH = 10
const QUESTIONS_EACH = 2
const MAX_EACH = 2
const ENDS_WITHIN_MS = 60_000

describe('a Redis Cluster', () => {
  let cluster: TestCluster
  let origin: OriginOfJobs
  let fleet: Fleet
  let records: Records
  let clients: Clients
  let made = 0
  before(async () => {
    cluster = await startCluster()
    origin = await startOriginOfJobs()
    const tenant = { maxConcurrentQueries: MAX_EACH, softConcurrentQueries: MAX_EACH }
    const config = fleetConfig(origin.url, { kind: 'redis', cluster: cluster.nodes }, { concurrency: 32, tenant })
    fleet = await Fleet.start(2, config)
    records = new Records({ cluster: cluster.nodes })
    clients = new Clients(() => fleet.next())
  })
  after(async () => {
    clients?.[Symbol.dispose]()
    for (const one of [records, fleet, origin, cluster]) await one?.[Symbol.asyncDispose]()
  })

  /** Everyone's jobs and questions, over about `spreadMs`. Resolves with what the questions were answered. */
  const load = async (ms: number, spreadMs: number): Promise<(Reply | null)[]> => {
    const step = () => pause(Math.random() * (spreadMs / JOBS_EACH) * 2)
    const asked: Promise<Reply | null>[] = []
    const everything = async (tenant: string, nth: number) => {
      await pause(nth)
      for (let job = 0; job < JOBS_EACH; job++) {
        await clients.submit({ n: made++, tenant, ms })
        if (job < QUESTIONS_EACH) asked.push(clients.post('/api/query', { n: made++, tenant, ms }))
        await step()
      }
    }
    await Promise.all(Array.from({ length: TENANTS }, (_, nth) => everything(`tenant${nth}`, nth)))
    return Promise.all(asked)
  }

  const errors = async (): Promise<string> => {
    const infos = await Promise.all(cluster.ports.map((port) => cluster.command(port, 'INFO', 'errorstats')))
    return infos.join('\n')
  }

  test('takes 1,000 jobs and 200 waiting requests of 100 tenants to their end, each tenant within its limit', async (t) => {
    const from = clients.accepted.length
    const replies = await load(20, 3_000)
    const jobs = clients.accepted.slice(from)
    const ended = await records.whenEnded(jobs, ENDS_WITHIN_MS)
    t.diagnostic(
      `${jobs.length} jobs, refused: ${JSON.stringify([...clients.refused])}; ${(await errors()).match(/errorstat_\w+:count=\d+/g)}`,
    )
    assert.equal(jobs.length, TENANTS * JOBS_EACH)
    assert.deepEqual(
      ended.filter(({ status, lost }) => status !== 'succeeded' || lost > 0),
      [],
    )
    assert.equal(replies.length, TENANTS * QUESTIONS_EACH)
    assert.deepEqual([...new Set(replies.map((reply) => reply?.status))], [200])
    for (const { task } of jobs) assert.equal(origin.executions.get(task.n), 1)
    for (const [tenant, peak] of origin.peaks) assert.ok(peak <= MAX_EACH, `${tenant} had ${peak} at once`)
    assert.doesNotMatch(await errors(), /CROSSSLOT/)
  })

  test('loses nothing when every slot of the queue moves to another node under load', async (t) => {
    const from = clients.accepted.length
    const roots = keySpace('sluice:', CLUSTER_SHARDS).everyShard('q')
    const move = async () => {
      let moved = 0
      for (const root of roots) {
        const slot = cluster.slotOf(root)
        const owner = await cluster.ownerOf(slot)
        const keys = await cluster.command(owner, 'CLUSTER', 'COUNTKEYSINSLOT', slot)
        const startedAt = performance.now()
        await cluster.migrateSlot(slot, cluster.ports[(cluster.ports.indexOf(owner) + 1) % cluster.ports.length]!)
        t.diagnostic(`${root}: ${keys} keys in ${Math.round(performance.now() - startedAt)} ms`)
        moved++
        await pause(300)
      }
      return moved
    }
    const [replies, moved] = await Promise.all([load(20, 8_000), move()])
    const jobs = clients.accepted.slice(from)
    const ended = await records.whenEnded(jobs, ENDS_WITHIN_MS)
    const lost = ended.reduce((sum, record) => sum + record.lost, 0)
    t.diagnostic(
      `${jobs.length} jobs, ${moved} slots moved, ${lost} leases lost, refused: ${JSON.stringify([...clients.refused])}; ${(await errors()).match(/errorstat_\w+:count=\d+/g)}`,
    )
    assert.equal(moved, CLUSTER_SHARDS)
    assert.equal(jobs.length, TENANTS * JOBS_EACH)
    assert.deepEqual(
      ended.filter(({ status }) => status !== 'succeeded'),
      [],
    )
    assert.deepEqual([...new Set(replies.map((reply) => reply?.status))], [200])
    for (const [at, { task }] of jobs.entries()) {
      const executions = origin.executions.get(task.n) ?? 0
      assert.ok(executions >= 1 && executions <= 1 + ended[at]!.lost, `task ${task.n}: ${executions} executions`)
    }
    for (const [tenant, peak] of origin.peaks) assert.ok(peak <= MAX_EACH, `${tenant} had ${peak} at once`)
    assert.doesNotMatch(await errors(), /CROSSSLOT/)
  })

  test('is held up only where a slot takes long to move: all others go on', async (t) => {
    const keys = keySpace('sluice:', CLUSTER_SHARDS)
    const [held, ...others] = Array.from({ length: TENANTS }, (_, nth) => `tenant${nth}`)
    const slot = cluster.slotOf(keys.of(held!, 'q'))
    const elsewhere = others.filter((tenant) => keys.shardOf(tenant) !== keys.shardOf(held!))
    const from = await cluster.ownerOf(slot)
    const to = cluster.ports.find((port) => port !== from)!
    const nodeId = (port: number) => cluster.command(port, 'CLUSTER', 'MYID') as Promise<string>
    const before = clients.accepted.length
    await cluster.command(to, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', await nodeId(from))
    await cluster.command(from, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', await nodeId(to))
    const stuck = clients.submit({ n: made++, tenant: held!, ms: 20 })
    const took: number[] = []
    for (let round = 0; round < 20; round++) {
      const startedAt = performance.now()
      await clients.submit({ n: made++, tenant: elsewhere[round % elsewhere.length]!, ms: 20 })
      took.push(performance.now() - startedAt)
      await pause(250)
    }
    const meanwhile = clients.accepted.slice(before)
    await cluster.migrateSlot(slot, to)
    await stuck
    const ended = await records.whenEnded(clients.accepted.slice(before), ENDS_WITHIN_MS)
    t.diagnostic(
      `the slowest submission elsewhere took ${Math.round(Math.max(...took))} ms; ${JSON.stringify(ended.filter(({ lost }) => lost > 0))} refused: ${JSON.stringify([...clients.refused])}`,
    )
    assert.ok(meanwhile.every(({ task }) => task.tenant !== held))
    assert.deepEqual([...new Set(ended.map(({ status }) => status))], ['succeeded'])
    assert.ok(Math.max(...took) < 1_000, `a submission elsewhere took ${Math.max(...took)} ms`)
  })
})
