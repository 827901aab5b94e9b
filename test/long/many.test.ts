/**
 * Very many tenants and requests at once: no script takes long, and nothing is left over. The first two are about the
 * scripts alone, in this process (workshop.ts); the third is about a whole gateway.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { LEASE_MS } from '../../src/queue/scheduler.ts'
import { RedisScheduler } from '../../src/queue/scheduler.redis.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'
import { Clients } from './clients.ts'
import { Fleet, fleetConfig, pause, redisStore } from './fleet.ts'
import { startOriginOfJobs } from './origin-of-jobs.ts'
import { Records } from './records.ts'
import { many, OPEN, UPSTREAM, WIDE, Workshop } from './workshop.ts'

const SLOW_US = 10_000

test('100,000 tenants with a job each are drained without a slow script', async (t) => {
  const TENANTS = 100_000
  await using redis = await startSlowlog()
  await using workshop = await Workshop.open(redis.url, 64)
  const startedAt = performance.now()
  await many(TENANTS, (n) => workshop.submit(`tenant${n}`, WIDE, { keepMs: 1 }))
  const submittedAt = performance.now()
  let ended = 0
  const all = Promise.withResolvers<void>()
  workshop.work(async () => {
    if (++ended === TENANTS) all.resolve()
  })
  await all.promise
  await workshop.rest()
  const drainedAt = performance.now()
  const forgotten = await tickAll(workshop, Date.now)
  const seconds = (from: number, to: number) => ((to - from) / 1_000).toFixed(1)
  t.diagnostic(
    `submitted in ${seconds(startedAt, submittedAt)} s, drained in ${seconds(submittedAt, drainedAt)} s, ` +
      `forgotten in ${seconds(drainedAt, performance.now())} s`,
  )
  assert.equal(ended, TENANTS)
  assert.equal(forgotten, TENANTS)
  await assertQuick(redis)
})

test('20,000 waiting requests are granted, extended and given up without a slow script', async (t) => {
  const SLOTS = 20_000
  const TENANTS = 2_000
  const WIDTH = 100
  await using redis = await startSlowlog()
  await using workshop = await Workshop.open(redis.url, WIDTH)
  const { scheduler, store } = workshop
  const hears = Promise.withResolvers<void>()
  store.bus.onGap(hears.resolve)
  await hears.promise
  const refs = Array.from({ length: SLOTS }, (_, n) => ({ id: `slot${n}`, tenant: `tenant${n % TENANTS}`, fence: 0 }))
  const names = { upstream: UPSTREAM, route: 'r', class: 'interactive', width: WIDTH, process: store.process } as const
  const acquire = ({ id, tenant }: { id: string; tenant: string }) =>
    scheduler.acquire({ id, tenant, ...names }, WIDE, OPEN)

  // Half of them are granted, each as another one is released.
  let released = 0
  const half = Promise.withResolvers<void>()
  const release = async (id: string) => {
    const tenant = refs[Number(id.slice(4))]!.tenant
    if (released >= SLOTS / 2) return half.resolve()
    released++
    await scheduler.release({ id, tenant, servedMs: 20 }, workshop.wish(0))
  }
  const granted: string[] = []
  let mayRelease = false
  const deafen = scheduler.onPush((push) => {
    if (push.kind === 'granted') mayRelease ? void release(push.slot) : granted.push(push.slot)
  })
  await many(SLOTS, async (n) => {
    const taken = await acquire(refs[n]!)
    if (taken.kind === 'granted') granted.push(refs[n]!.id)
  })
  assert.ok(granted.length >= WIDTH)
  mayRelease = true
  for (const id of granted) void release(id)
  await half.promise
  deafen()

  const states = Map.groupBy(await scheduler.extend(refs), (state) => state)
  assert.equal((states.get('waiting') ?? []).length + (states.get('granted') ?? []).length, SLOTS - released)
  // The other half is never heard of again.
  await tickAll(workshop, () => Date.now() + LEASE_MS + 1_000)
  assert.deepEqual(new Set(await scheduler.extend(refs)), new Set(['lost']))
  t.diagnostic(`${released} granted and released, ${SLOTS - released} run out`)
  await assertQuick(redis)
})

test('of 10,000 jobs no key and no file is left when their time is over', async (t) => {
  const JOBS = 10_000
  const TENANTS = 50
  await using redis = await startRedis()
  await using origin = await startOriginOfJobs()
  const dir = mkdtempSync(join(tmpdir(), 'sluice-many-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const config = fleetConfig(origin.url, redisStore(redis.url, { dir }), {
    ...{ concurrency: 32, submit: { resultTtl: '5s' }, results: { spillAbove: '0B' } },
  })
  await using fleet = await Fleet.start(1, config)
  const clients = new Clients(() => fleet.next())
  const submit = (n: number) => clients.submit({ n, tenant: `tenant${n % TENANTS}`, ms: 0 })
  const files = () => readdirSync(dir, { recursive: true, withFileTypes: true }).filter((one) => one.isFile())
  const keys = async () => new Set((await redis.command('KEYS', '*')) as string[])
  const areGone = async () => ![...(await keys())].some((key) => key.includes(':job:')) && files().length === 0

  await many(TENANTS, submit)
  await until(areGone, 'the end of the first jobs', 30_000)
  const before = await keys()
  await many(JOBS, (n) => submit(TENANTS + n))
  const most = { keys: (await keys()).size, files: files().length }
  await until(areGone, 'the end of all jobs and their results', 60_000)
  const left = [...(await keys())].filter((key) => !before.has(key))
  t.diagnostic(`before ${before.size} keys, at most about ${most.keys} keys and ${most.files} files`)
  assert.ok(most.files > 500, `only ${most.files} files were there at once`)
  assert.deepEqual(left, [])
  assert.equal(origin.total, JOBS + TENANTS)
})

async function startSlowlog(): Promise<TestRedis> {
  const redis = await startRedis()
  await redis.command('CONFIG', 'SET', 'slowlog-log-slower-than', SLOW_US)
  await redis.command('CONFIG', 'SET', 'slowlog-max-len', 1_000)
  return redis
}

async function assertQuick(redis: TestRedis): Promise<void> {
  const entries = (await redis.command('SLOWLOG', 'GET', -1)) as [number, number, number, string[]][]
  const slow = entries.filter(([, , , [name]]) => /^eval(sha)?$/i.test(name!))
  assert.deepEqual(
    slow.map(([, , us, args]) => `${us} us: ${args.slice(0, 4).join(' ')}`),
    [],
  )
}

/** Ticks as of that instant until nothing is due. Resolves with how many were forgotten. */
async function tickAll(workshop: Workshop, nowAt: () => number): Promise<number> {
  const scheduler = new RedisScheduler({ store: workshop.store, nowAt })
  let forgotten = 0
  for (;;) {
    const ticked = await scheduler.tick(workshop.wish(0))
    forgotten += ticked.forgotten.length
    if (ticked.nextDueAt === null || ticked.nextDueAt > nowAt()) break
  }
  await scheduler.close()
  return forgotten
}
