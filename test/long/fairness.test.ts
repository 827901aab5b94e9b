/** How a tenant fares beside a greedy one. The scheduler, Redis and the pool are real, the query is a stub (workshop.ts). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startRedis } from '../support/redis.ts'
import { pause } from './fleet.ts'
import { many, WIDE, Workshop } from './workshop.ts'

const WIDTH = 8
/** On average; each takes up to half as long more or less, or all slots would become free at the same instants. */
const QUERY_MS = 20

const BACKLOG = 20_000
/** Jobs of the light tenant, alone and beside the other. */
const LIGHT = 100
const LIGHT_EVERY_MS = 100

test('a light tenant hardly waits longer beside one with 20,000 queued jobs', async (t) => {
  await using redis = await startRedis()
  await using workshop = await Workshop.open(redis.url, WIDTH)
  const begun = new Map<string, PromiseWithResolvers<number>>()
  workshop.work(async ({ id, tenant }) => {
    if (tenant === 'light') begun.get(id)?.resolve(performance.now())
    await pause(QUERY_MS * (0.5 + Math.random()))
  })
  /** From the submission's call to the start of its run, ms. */
  const waitOfOne = async (): Promise<number> => {
    const order = workshop.order('light')
    const start = Promise.withResolvers<number>()
    begun.set(order.id, start)
    const askedAt = performance.now()
    await workshop.scheduler.submit(order, WIDE, { rate: null, shadow: { rate: false, queue: false } })
    return (await start.promise) - askedAt
  }
  const waits = async (): Promise<number[]> => {
    const all: Promise<number>[] = []
    for (let n = 0; n < LIGHT; n++) {
      all.push(waitOfOne())
      await pause(LIGHT_EVERY_MS)
    }
    return Promise.all(all)
  }
  await waitOfOne() // so that its cost is known
  const alone = p95(await waits())
  await many(BACKLOG, () => workshop.submit('heavy'))
  const beside = p95(await waits())
  const [heavy] = await workshop.scheduler.loads(['heavy'])
  const left = heavy!.depth.reduce((sum, depth) => sum + depth)
  const figures = `p95 of its wait: ${alone.toFixed(1)} ms alone, ${beside.toFixed(1)} ms beside ${left} to ${BACKLOG} jobs`
  t.diagnostic(figures)
  assert.ok(left > BACKLOG / 4, `the other one’s line ran dry: ${left}`)
  assert.ok(beside <= 2 * alone + QUERY_MS, figures)
})

const EACH = 6_000
const COUNTED_AFTER_MS = 2_000
const COUNTED_MS = 8_000

for (const [what, msOf] of [
  ['queries that take alike', { four: 20, one: 20 }],
  ['long queries of the one, short ones of the other', { four: 15, one: 60 }],
  ['short queries of the one, long ones of the other', { four: 60, one: 15 }],
] as const) {
  test(`weights of 4 and 1 are 4:1 of the served seconds under a backlog: ${what}`, async (t) => {
    await using redis = await startRedis()
    await using workshop = await Workshop.open(redis.url, WIDTH)
    await many(EACH, async () => {
      await workshop.submit('four', { ...WIDE, weight: 4 })
      await workshop.submit('one', { ...WIDE, weight: 1 })
    })
    const served = { four: 0, one: 0 }
    let counts = false
    workshop.work(async ({ tenant }) => {
      const name = tenant as keyof typeof served
      const startedAt = performance.now()
      await pause(msOf[name])
      if (counts) served[name] += performance.now() - startedAt
    })
    await pause(COUNTED_AFTER_MS)
    counts = true
    await pause(COUNTED_MS)
    counts = false
    const loads = await workshop.scheduler.loads(['four', 'one'])
    const ratio = served.four / served.one
    t.diagnostic(`${(served.four / 1_000).toFixed(1)} s to ${(served.one / 1_000).toFixed(1)} s: ${ratio.toFixed(3)}`)
    assert.ok(
      loads.every(({ depth }) => depth[1] > 0),
      'both have a backlog to the end',
    )
    assert.ok(ratio >= 4 * 0.95 && ratio <= 4 * 1.05, `it was ${ratio.toFixed(3)}:1`)
  })
}

function p95(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(values.length * 0.95) - 1]!
}
