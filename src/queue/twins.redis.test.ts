/**
 * The scripts against the structure in memory, operation for operation: the same random operations on both, every answer
 * and the state after each step compared, and what must always hold checked on the way.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { startRedis, type TestRedis } from '../../test/support/redis.ts'
import { RedisStore } from '../kernel/redis/store.ts'
import { CLASSES } from './policy.ts'
import { RedisScheduler } from './scheduler.redis.ts'
import type * as port from './scheduler.ts'
import { Shard } from './shard.ts'
import { JOB_MOVES, type Move } from './states.ts'
import { type Census, censusOf, invariantsOf } from './twins.census.ts'

const TENANTS = ['ann', 'bob', 'cid']
const UPSTREAMS = ['db', 'api']
const OPEN: port.Door = { rate: null, shadow: { rate: false, queue: false } }
const START = 1_700_000_000_000

type Step = { op: string; a: number; b: number; c: number }
const OPS = [
  ...['submit', 'submit', 'submit', 'acquire', 'acquire', 'claim', 'claim', 'finish', 'finish', 'release', 'release'],
  ...[
    'extend',
    'tick',
    'cancel',
    'clock',
    'clock',
    'configure',
    'pause',
    'lend',
    'nudge',
    'retry',
    'drop',
    'pop',
    'crash',
  ],
]
const step = fc.record({ op: fc.constantFrom(...OPS), a: fc.nat(1_000), b: fc.nat(1_000), c: fc.nat(1_000) })

/** One run on both sides. */
class Twins {
  readonly shard = new Shard()
  readonly redis: RedisScheduler
  readonly store: RedisStore
  nowAt = START
  made = 0
  readonly jobs: { id: string; tenant: string }[] = []
  readonly slots: { id: string; tenant: string }[] = []
  readonly claimed: port.Claimed[] = []
  readonly limits = new Map(TENANTS.map((name, at) => [name, limitsOf(at, 0)]))
  clockUs = 0
  #steps = 0
  readonly #statuses = new Map<string, Move['from']>()

  constructor(store: RedisStore) {
    this.store = store
    this.redis = new RedisScheduler({ store, nowAt: () => this.nowAt })
  }

  wish(want: number, { b, c }: Step): port.ClaimWish {
    const avoid = b % 3 === 0 ? [TENANTS[c % 3]!, TENANTS[b % 2]!] : []
    const upstreams = UPSTREAMS.map((name, at) => ({ name, width: 2 + at, allow: (b + at) % 5 === 0 ? 1 : 9, avoid }))
    return { process: `p${c % 2}`, want, upstreams }
  }

  /** Runs one operation on both and compares what they answer. */
  async both<T>(model: () => T, real: () => Promise<T>): Promise<T> {
    const expected = model()
    const actual = await real()
    assert.deepEqual(plain(actual), plain(expected))
    return expected
  }

  async run(step: Step): Promise<void> {
    await OPERATIONS[step.op]!(this, step)
    if (++this.#steps % 5 === 0) await this.compare()
  }

  async compare(): Promise<void> {
    const [model, real] = [this.shard.census(), await censusOf(this.store, this.nowAt)]
    assert.deepEqual(real, model satisfies Census)
    invariantsOf(model)
    this.#checkMoves()
    assert.ok(model.clockUs >= this.clockUs, 'virtual time goes back')
    this.clockUs = model.clockUs
  }

  /** Every job moves only along the table of moves, and takes no step that is not on it. */
  #checkMoves(): void {
    for (const { id, tenant } of this.jobs) {
      const status = this.shard.look(tenant, id)?.status ?? 'forgotten'
      const before = this.#statuses.get(id) ?? 'new'
      assert.ok(reachable(before, status), `${id} moved from ${before} to ${status}`)
      if (status !== 'forgotten') this.#statuses.set(id, status)
      else this.#statuses.delete(id)
    }
  }

  note(given: port.Given): void {
    this.claimed.push(...given.claimed)
  }
}

/** Along any number of moves, for the jobs are not looked at after every step. */
function reachable(from: Move['from'], to: Move['to'], seen = new Set<string>()): boolean {
  if (from === to || (from === 'new' && to === 'forgotten')) return true
  if (seen.has(from)) return false
  seen.add(from)
  return (
    JOB_MOVES.some((move) => move.from === from && move.to !== 'forgotten' && reachable(move.to, to, seen)) ||
    JOB_MOVES.some((move) => move.from === from && move.to === to)
  )
}

/** The newest number of a bucket is the model's own business. */
function plain(answer: unknown): unknown {
  return JSON.parse(JSON.stringify(answer ?? null, (key, value) => (key === 'newTat' ? undefined : value)))
}

const limitsOf = (a: number, b: number): port.TenantLimits => ({
  weight: [1, 2, 0.5, 3][a % 4]!,
  hard: 1 + (b % 3),
  soft: 1 + (a % 2),
  maxQueue: 3 + (b % 4),
  paused: false,
})

const pick = <T>(list: readonly T[], at: number): T | undefined => list[at % Math.max(1, list.length)]

const OPERATIONS: Record<string, (twins: Twins, step: Step) => Promise<unknown>> = {
  async submit(twins, { a, b, c }) {
    const tenant = TENANTS[a % 3]!
    const id = `job_${String(++twins.made).padStart(6, '0')}`
    const order: port.JobOrder = {
      ...{ id, tenant, upstream: UPSTREAMS[b % 2]!, route: `r${c % 2}`, class: CLASSES[c % 3]!, width: 2 + (b % 2) },
      ...{ principal: `p${c % 2}`, payload: Buffer.from([a % 256, 255, 0]), keepsPayload: b % 2 === 0 },
      ...{ queueMs: 20_000 + a * 10, keepMs: 30_000, replicated: false },
      idempotency: a % 4 === 0 ? { key: `k${b % 3}`, fingerprint: `f${c % 2}` } : null,
    }
    const rate = { emissionUs: 2_000_000, burst: 4, bucket: `bucket:${tenant}`, nowAt: twins.nowAt }
    const shadow = { rate: c % 9 === 0, queue: c % 8 === 0 }
    const door = { rate: a % 2 ? rate : null, shadow }
    const limits = twins.limits.get(tenant)!
    if (a % 11 === 0) {
      const result = Buffer.from('cached')
      const told = await twins.both(
        () => twins.shard.record(order, result, twins.nowAt),
        () => twins.redis.record(order, result),
      )
      if (!('kind' in told)) twins.jobs.push({ id, tenant })
      return
    }
    const told = await twins.both(
      () => twins.shard.submit(order, limits, door, twins.nowAt),
      () => twins.redis.submit(order, limits, door),
    )
    if (told.kind === 'queued') twins.jobs.push({ id, tenant })
  },
  async acquire(twins, { a, b, c }) {
    const tenant = TENANTS[a % 3]!
    const id = `slot${++twins.made}`
    const names = { id, tenant, upstream: UPSTREAMS[b % 2]!, route: `r${c % 2}`, class: CLASSES[c % 3]! }
    const wish = { ...names, width: 2 + (b % 2), process: `p${c % 2}` }
    const told = await twins.both(
      () => twins.shard.acquire(wish, twins.limits.get(tenant)!, OPEN, twins.nowAt),
      () => twins.redis.acquire(wish, twins.limits.get(tenant)!, OPEN),
    )
    if (told.kind === 'granted' || told.kind === 'waiting') twins.slots.push({ id, tenant })
  },
  async claim(twins, step) {
    const wish = twins.wish(1 + (step.a % 3), step)
    twins.note(
      await twins.both(
        () => twins.shard.claim(wish, twins.nowAt),
        () => twins.redis.claim(wish),
      ),
    )
  },
  async nudge(twins, step) {
    const wish = twins.wish(0, step)
    await twins.both(
      () => twins.shard.nudge(wish, twins.nowAt),
      () => twins.redis.nudge(wish),
    )
  },
  async finish(twins, step) {
    const job = pick(twins.claimed, step.a)
    if (!job) return
    const endings: port.Ending[] = [
      { how: 'succeeded', result: Buffer.from([1, 0, 255]) },
      { how: 'failed', error: '{"code":"X"}', result: step.b % 2 ? Buffer.from('no') : null },
      { how: 'retry', delayMs: step.c },
      { how: 'back', renew: step.c % 2 === 0 },
    ]
    const fence = job.fence - (step.c % 13 === 0 ? 1 : 0)
    const servedMs = step.b % 5 === 0 ? null : step.b * (step.a % 3 === 0 ? 200 : 1)
    const finish = { id: job.id, tenant: job.tenant, fence, ending: endings[step.b % 4]!, servedMs }
    const wish = twins.wish(step.c % 3, step)
    twins.note(
      await twins.both(
        () => twins.shard.finish(finish, wish, twins.nowAt),
        () => twins.redis.finish(finish, wish),
      ),
    )
  },
  async lend(twins, step) {
    const job = pick(twins.claimed, step.a)
    if (!job) return
    const wish = twins.wish(step.c % 2, step)
    twins.note(
      await twins.both(
        () => twins.shard.lend(job, wish, twins.nowAt),
        () => twins.redis.lend(job, wish),
      ),
    )
  },
  async release(twins, step) {
    const slot = pick(twins.slots, step.a)
    if (!slot) return
    const given = { ...slot, servedMs: step.b % 4 === 0 ? null : step.b }
    const wish = twins.wish(step.c % 2, step)
    twins.note(
      await twins.both(
        () => twins.shard.release(given, wish, twins.nowAt),
        () => twins.redis.release(given, wish),
      ),
    )
  },
  async extend(twins, { a }) {
    const jobs = twins.claimed.filter((_, at) => (at + a) % 2 === 0)
    const refs = [...jobs, ...twins.slots.map((slot) => ({ ...slot, fence: 0 }))].slice(0, 150)
    await twins.both(
      () => twins.shard.extend(refs, twins.nowAt),
      () => twins.redis.extend(refs),
    )
  },
  async tick(twins, step) {
    const wish = twins.wish(0, step)
    await twins.both(
      () => twins.shard.tick(wish, twins.nowAt),
      () => twins.redis.tick(wish),
    )
  },
  async cancel(twins, step) {
    const job = pick(twins.jobs, step.a)
    if (!job) return
    const wish = twins.wish(0, step)
    await twins.both(
      () => twins.shard.cancel(job.tenant, job.id, wish, twins.nowAt),
      () => twins.redis.cancel(job.tenant, job.id, wish),
    )
  },
  async retry(twins, { a, b }) {
    const job = pick(twins.jobs, a)
    if (!job) return
    await twins.both(
      () => twins.shard.retry(job.tenant, job.id, 5_000 + b, 2, twins.nowAt),
      () => twins.redis.retry(job.tenant, job.id, 5_000 + b, 2),
    )
  },
  async drop(twins, { a, b }) {
    const job = pick(twins.jobs, a)
    if (!job) return
    const tenant = b % 5 === 0 ? TENANTS[b % 3]! : job.tenant
    await twins.both(
      () => twins.shard.drop(tenant, job.id),
      () => twins.redis.drop(tenant, job.id),
    )
  },
  async configure(twins, step) {
    const tenant = TENANTS[step.a % 3]!
    const limits = limitsOf(step.b, step.c)
    twins.limits.set(tenant, limits)
    const wish = twins.wish(0, step)
    await twins.both(
      () => twins.shard.configure(tenant, limits, wish, twins.nowAt),
      () => twins.redis.configure(tenant, limits, wish),
    )
  },
  async pause(twins, step) {
    const tenant = TENANTS[step.a % 3]!
    const limits = { ...twins.limits.get(tenant)!, paused: step.b % 2 === 0 }
    twins.limits.set(tenant, limits)
    const wish = twins.wish(0, step)
    await twins.both(
      () => twins.shard.configure(tenant, limits, wish, twins.nowAt),
      () => twins.redis.configure(tenant, limits, wish),
    )
  },
  async clock(twins, { a, b }) {
    twins.nowAt += b % 6 === 0 ? a * 15 : a % 50
  },
  /** A process dies: what it held is not extended, and the others look a lease later. */
  async crash(twins, step) {
    twins.nowAt += 14_001
    await OPERATIONS.tick!(twins, step)
  },
  async pop(twins) {
    await twins.both(
      () => twins.shard.takeMark(UPSTREAMS),
      async () => {
        const root = twins.store.keys.everyShard('q')[0]!
        for (const name of UPSTREAMS) {
          const popped = await twins.store.run('test', (redis) => redis.zpopmin(`${root}:mark:${name}`))
          if (popped.length > 0) return name
        }
        return null
      },
    )
  },
}

describe('the scripts and the structure in memory', () => {
  let server: TestRedis
  let store: RedisStore
  before(async () => {
    server = await startRedis()
    store = new RedisStore({ url: server.url, keyPrefix: 'twins:', commandTimeoutMs: 5_000 })
    await store.firstContact(5_000)
  })
  after(async () => {
    await store[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })

  test('answer alike, whatever is asked of them, and leave nothing behind', { timeout: 55_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 150, size: 'max' }), async (steps) => {
        await store.run('test', (redis) => redis.flushall())
        const twins = new Twins(store)
        for (const step of steps) await twins.run(step)
        await twins.compare()
        await endEverything(twins)
      }),
      {
        numRuns: Number(process.env.TWINS_RUNS ?? 60),
        endOnFailure: process.env.TWINS_SHRINK === undefined,
        ...(process.env.TWINS_SEED && { seed: Number(process.env.TWINS_SEED) }),
      },
    )
  })
})

/** Lets every lease, place and record run out; then only what is remembered of idle tenants is left, and it expires too. */
async function endEverything(twins: Twins): Promise<void> {
  for (const slot of twins.slots) {
    await OPERATIONS.release!(twins, { op: 'release', a: twins.slots.indexOf(slot), b: 1, c: 0 })
  }
  for (let round = 0; round < 8; round++) {
    twins.nowAt += 10 * 86_400_000
    for (let i = 0; i < 3; i++) await OPERATIONS.tick!(twins, { op: 'tick', a: 0, b: 1, c: 0 })
  }
  const { entries, due, dead, lists, lanes } = twins.shard.census()
  assert.deepEqual({ entries, due, dead, lists, lanes }, { entries: 0, due: 0, dead: 0, lists: 0, lanes: 0 })
  const keys = await twins.store.run('test', (redis) => redis.keys('*'))
  for (const key of keys) {
    const leftMs = await twins.store.run('test', (redis) => redis.pttl(key))
    assert.ok(leftMs > 0 || key.includes(':mark:'), `${key} would stay for ever`)
  }
}
