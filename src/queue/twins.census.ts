/** What both schedulers hold, in one form, for comparison; and what must hold of it at every moment. For tests alone. */
import assert from 'node:assert/strict'
import type { RedisClient } from '../kernel/redis/connection.ts'
import type { RedisStore } from '../kernel/redis/store.ts'
import type { Shard } from './shard.ts'

export type Census = ReturnType<Shard['census']>

/** Everything that a Redis shard holds. */
export async function censusOf(store: RedisStore, nowAt: number): Promise<Census> {
  const root = store.keys.everyShard('q')[0]!
  return store.run('test', async (redis) => {
    const keys = (await redis.keys(`${root}:*`)).map((key) => key.slice(root.length + 1))
    const of = (kind: string) =>
      keys.filter((key) => key.startsWith(`${kind}:`)).map((key) => key.slice(kind.length + 1))
    const orders: Census['orders'] = {}
    for (const tier of ['ready', 'over']) {
      for (const place of of(tier)) orders[`${tier}:${place}`] = await scored(redis, `${root}:${tier}:${place}`)
    }
    const tenants: Census['tenants'] = {}
    for (const name of of('t')) {
      const state = (await redis.eval(TENANT, 1, `${root}:t:${name}`)) as [string, number, number, string, string[]]
      const [vt, hard, idleAt, paused, lanes] = state
      if (idleAt >= 0 && nowAt - idleAt >= 600_000) continue
      const lines = keys.filter((key) => key.startsWith(`line:${name}:`) || key === `later:${name}`)
      const waiting = await Promise.all(lines.map((line) => scored(redis, `${root}:${line}`)))
      const all = waiting.flatMap((line) => Object.entries(line)).sort(([, a], [, b]) => a - b)
      tenants[name] = {
        ...{ vtUs: Number(vt), hard, paused: paused === '1' },
        running: (await redis.smembers(`${root}:run:${name}`)).sort(),
        ...{ waiting: all.map(([id]) => id), lanes: lanes.sort() },
      }
    }
    const busy: Census['busy'] = {}
    for (const name of of('busy')) busy[name] = (await redis.smembers(`${root}:busy:${name}`)).sort()
    const slots = await redis.hlen(`${root}:slots`)
    return {
      entries: of('job').length + slots,
      due: await redis.zcard(`${root}:due`),
      dead: await redis.zcard(`${root}:dead`),
      lists: of('list').length,
      lanes: Object.values(tenants).reduce((sum, { lanes }) => sum + lanes.length, 0),
      clockUs: Number((await redis.get(`${root}:v`)) ?? 0),
      marks: of('mark').sort(),
      orders,
      tenants,
      busy,
    }
  })
}

/** Binary, which only the server here reads. */
const TENANT = `
  local text, lanes = redis.call('GET', KEYS[1]), {}
  local state = { struct.unpack('<ddddddddddddssss', text) }
  local at = state[17]
  for i = 1, state[11] do local u, _, _, next = struct.unpack('<sss', text, at) lanes[i], at = u, next end
  return { string.format('%.0f', state[5]), state[2], state[10], state[14], lanes }`

async function scored(redis: RedisClient, key: string) {
  const flat = await redis.zrange(key, '0', '-1', 'WITHSCORES')
  const scores: Record<string, number> = {}
  for (let i = 0; i < flat.length; i += 2) scores[flat[i]!] = Number(flat[i + 1])
  return scores
}

/** Running never above the limit it started under; in `ready` or `over` if and only if runnable; nothing in two places. */
export function invariantsOf({ tenants, orders, busy }: Census): void {
  for (const [name, { hard, paused, running, waiting, lanes }] of Object.entries(tenants)) {
    const places = Object.entries(orders).filter(([, members]) => name in members)
    const isRunnable = lanes.length > 0 && !paused && running.length < hard
    assert.equal(places.length > 0, isRunnable, `${name} stands in the order although it cannot run, or the reverse`)
    for (const id of running) assert.ok(!waiting.includes(id), `${id} runs and waits`)
    for (const [place] of places) {
      const other = place.startsWith('ready') ? place.replace('ready', 'over') : place.replace('over', 'ready')
      assert.ok(!(name in (orders[other] ?? {})), `${name} stands in both orders`)
    }
  }
  const all = Object.values(tenants).flatMap(({ running }) => running)
  assert.deepEqual(Object.values(busy).flat().sort(), all.sort(), 'what runs of upstreams is what runs of tenants')
}
