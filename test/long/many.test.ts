import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { startRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'
import { OPEN, UPSTREAM, WIDE, Workshop } from './workshop.ts'

const TENANTS = 100_000
const WAITING = 20_000
const JOBS = 10_000
/** A script that holds the server longer than this is slow, µs. */
const SLOW_US = 10_000
const IN_FLIGHT = 200

/** Calls `work` so often, some at a time. */
async function times(count: number, work: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker))
}

/** SLOWLOG counts by the wall: a server that others push aside would look slow for nothing. Needs to be root. */
async function startAhead() {
  const redis = await startRedis('--slowlog-log-slower-than', `${SLOW_US}`)
  const pid = /process_id:(\d+)/.exec(String(await redis.command('INFO', 'server')))![1]!
  spawnSync('renice', ['-n', '-15', '-p', pid])
  return redis
}

/** The scripts that held the server for long, as SLOWLOG has them: µs and command. */
async function slowScripts(redis: Awaited<ReturnType<typeof startRedis>>): Promise<string[]> {
  const entries = (await redis.command('SLOWLOG', 'GET', '128')) as [number, number, number, string[]][]
  return entries
    .filter(([, , , args]) => /^eval/i.test(args[0]!))
    .map(([, , us, args]) => `${us} µs: ${args.slice(0, 3).join(' ')}`)
}

/** A script that is slow is slow every time; what the machine itself held up is not. */
async function withoutSlowScripts(run: () => Promise<string[]>): Promise<void> {
  let slow: string[] = []
  for (let tries = 0; tries < 3; tries++) {
    slow = await run()
    if (slow.length === 0) return
  }
  assert.deepEqual(slow, [])
}

test('100,000 tenants with a job each are served without a slow script', async (t) => {
  await withoutSlowScripts(async () => {
    await using redis = await startAhead()
    await using shop = await Workshop.open(redis.url, 50)
    await times(TENANTS, (n) => shop.submit(`t${n}`))
    let ended = 0
    const startedAt = performance.now()
    shop.work(async () => void ended++)
    await until(() => ended === TENANTS, 'the last job', 120_000)
    const seconds = (performance.now() - startedAt) / 1_000
    await shop.rest()
    t.diagnostic(`${Math.round(TENANTS / seconds)} jobs per second`)
    return await slowScripts(redis) // before the server is gone
  })
})

test('20,000 requests that wait for one slot after the other are granted without a slow script', () =>
  withoutSlowScripts(async () => {
    await using redis = await startAhead()
    await using shop = await Workshop.open(redis.url, 50)
    const { scheduler } = shop
    const granted: string[] = []
    scheduler.onPush((push) => void (push.kind === 'granted' && granted.push(push.slot)))
    const tenantOf = (id: string) => `t${Number(id.slice(1)) % 1_000}`
    await times(WAITING, async (n) => {
      const id = `s${n}`
      const names = { id, tenant: tenantOf(id), upstream: UPSTREAM, route: 'r', class: 'default' } as const
      const told = await scheduler.acquire({ ...names, width: 50, process: shop.store.process }, WIDE, OPEN)
      if (told.kind === 'granted') granted.push(id)
    })
    for (let released = 0; released < WAITING; ) {
      await until(() => granted.length > released, `grant ${released}`)
      const some = granted.slice(released, released + 50)
      released += some.length
      await Promise.all(some.map((id) => scheduler.release({ id, tenant: tenantOf(id), servedMs: 1 }, shop.wish(0))))
    }
    assert.equal(new Set(granted).size, WAITING)
    return await slowScripts(redis) // before the server is gone
  }))

test('of 10,000 jobs nothing is left past their ttl but what is remembered of their tenants for a while', async () => {
  await using redis = await startRedis()
  await using shop = await Workshop.open(redis.url, 50)
  await times(JOBS, (n) =>
    shop.submit(`t${n % 20}`, WIDE, { keepMs: 500, idempotency: { key: `k${n}`, fingerprint: 'f' } }),
  )
  let ended = 0
  shop.work(async () => void ended++)
  await until(() => ended === JOBS, 'the last job', 60_000)
  await shop.rest()
  const forgotten = async () => {
    await shop.scheduler.tick(shop.wish(0))
    const keys = (await redis.command('KEYS', '*')) as string[]
    return keys.filter((key) => !/:(t:t\d+|v|mark:.*)$|beat$|census/.test(key)).length === 0
  }
  await until(forgotten, 'the last record', 30_000)
  for (const key of (await redis.command('KEYS', '*:t:*')) as string[])
    assert.ok(Number(await redis.command('PTTL', key)) > 0, `${key} would stay for ever`)
})
