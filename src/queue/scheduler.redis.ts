/**
 * The scheduler in Redis, one server, Sentinel or Cluster: a script per operation (scripts/*.lua), one round trip each.
 * All keys of a tenant lie in its shard, and every shard has an order of its own; a single server has one shard.
 */

import { StoreUnavailable } from '../kernel/errors.ts'
import { type LuaScript, luaBytesScript } from '../kernel/redis/script.ts'
import type { RedisStore } from '../kernel/redis/store.ts'
import { Marks } from './marks.ts'
import { CLASSES } from './policy.ts'
import { REPLICA_MS, Replicas } from './replicas.ts'
import {
  bytes,
  dueAt,
  givenOf,
  number,
  ownerOf,
  queuedRecord,
  rateOfReply,
  recordOfReply,
  refusedOf,
  text,
} from './reply.ts'
import type * as port from './scheduler.ts'
import { MAX_STEPS } from './scheduler.ts'

const NAMES = [
  ...(['submit', 'record', 'acquire', 'claim', 'nudge', 'release', 'finish', 'lend', 'extend', 'tick'] as const),
  ...(['cancel', 'withdraw', 'retry', 'drop', 'look', 'watch', 'configure', 'loads'] as const),
]
type Name = (typeof NAMES)[number]

const SCRIPTS = Object.fromEntries(
  NAMES.map((name) => [name, luaBytesScript(new URL(`./scripts/${name}.lua`, import.meta.url))]),
) as Record<Name, LuaScript>

type Argument = string | number | Buffer

export type SchedulerStore = Pick<
  RedisStore,
  'run' | 'runPatiently' | 'runBulk' | 'keys' | 'bus' | 'process' | 'openBlocking'
>

export interface RedisSchedulerOptions {
  store: SchedulerStore
  /** Only for tests: the instant that scripts shall take it to be, in place of Redis' own clock. */
  nowAt?: () => number
}

/** Borrows its store; owns the connections that wait for marks. */
export class RedisScheduler implements port.Scheduler {
  readonly #store: SchedulerStore
  readonly #nowAt: () => number
  readonly #roots: readonly string[]
  readonly #marks: Marks
  readonly #replicas: Replicas

  constructor({ store, nowAt = () => 0 }: RedisSchedulerOptions) {
    this.#store = store
    this.#nowAt = nowAt
    this.#roots = store.keys.everyShard('q')
    this.#marks = new Marks(store, this.#roots)
    this.#replicas = new Replicas(store)
  }

  async submit(order: port.JobOrder, limits: port.TenantLimits, door: port.Door): Promise<port.Submitted> {
    const args = [...doorArgs(door), limitsText(limits), ...orderArgs(order)]
    const reply = await this.#run('submit', order.tenant, args, door.rate?.bucket)
    const refused = refusedOf(reply)
    if (refused) return refused
    const kind = text(reply[0])
    if (kind !== 'queued') return this.#again(order, kind, text(reply[1]))
    const [position, waitMs, nowAt] = reply.slice(3).map(number) as [number, number, number]
    const record = queuedRecord(order, { position, waitMs, nowAt })
    if (order.replicated) await this.#replicate(order.tenant, order.id, () => this.#withdraw(order))
    return { kind, record, rate: rateOfReply(reply[1]), wouldRefuse: number(reply[2]) === 1 }
  }

  /** What no replica has is not accepted, and is undone: a master may be lost at any time. */
  async #replicate(tenant: string, id: string, undo: () => Promise<unknown> = async () => {}): Promise<void> {
    try {
      if (await this.#replicas.have(this.#store.keys.of(tenant, 'q'), id)) return
      throw new Error(`no replica had ${id} within ${REPLICA_MS} ms`)
    } catch (cause) {
      await undo().catch(() => {}) // it stays, then: a repeat finds it
      throw new StoreUnavailable('queue.replicate', cause)
    }
  }

  #withdraw({ tenant, id }: port.JobOrder): Promise<unknown> {
    return this.#run('withdraw', tenant, [tenant, id])
  }

  async record(order: port.JobOrder, result: Buffer): ReturnType<port.Scheduler['record']> {
    const reply = await this.#run('record', order.tenant, ['', 0, 0, 0, '', ...orderArgs(order), result])
    const kind = text(reply[0])
    if (kind !== 'recorded') return this.#again(order, kind, text(reply[1]))
    const record = recordOfReply(reply[1])!
    if (order.replicated) await this.#replicate(order.tenant, record.id, () => this.drop(order.tenant, record.id))
    return record
  }

  /** An Idempotency-Key that is known. Whoever was refused for want of a replica may come again, and is asked again. */
  async #again({ tenant, replicated }: port.JobOrder, kind: string, id: string) {
    if (replicated && kind === 'repeat') await this.#replicate(tenant, id)
    return { kind: kind as 'repeat' | 'mismatch', id }
  }

  async acquire(wish: port.SlotWish, limits: port.TenantLimits, door: port.Door): Promise<port.Taken> {
    const { id, tenant, upstream, route, width, process } = wish
    const own = { process, want: 0, upstreams: [{ name: upstream, width: this.#width(width), allow: 0, avoid: [] }] }
    const names = [id, tenant, upstream, route, CLASSES.indexOf(wish.class), this.#width(width)]
    const args = [...doorArgs(door), limitsText(limits), ...names, ...this.#wishArgs(own, false)]
    const reply = await this.#run('acquire', tenant, args, door.rate?.bucket, 'quickly')
    const refused = refusedOf(reply)
    if (refused) return refused
    const rate = rateOfReply(reply[1])
    if (text(reply[0]) === 'granted') return { kind: 'granted', rate }
    const told = { position: number(reply[3]), waitMs: number(reply[4]), held: number(reply[5]) === 1 }
    return { kind: 'waiting', rate, wouldRefuse: number(reply[2]) === 1, ...told }
  }

  async release(
    { id, tenant, servedMs }: { id: string; tenant: string; servedMs: number | null },
    next: port.ClaimWish,
  ) {
    return givenOf(
      (await this.#run('release', tenant, [id, servedMs ?? -1, ...this.#wishArgs(next)])) as never,
      this.#now,
    )
  }

  /** Shard by shard, from one that was marked on, until the wish is served. */
  async claim(wish: port.ClaimWish): Promise<port.Given> {
    const given: port.Given = { claimed: [], held: false, nextDueAt: null }
    await each(this.#marks.inTurn(), async (root) => {
      const left = lessOf(wish, given.claimed)
      if (left.want === 0 && given.claimed.length > 0) return
      add(given, givenOf((await this.#runAt('claim', root, this.#wishArgs(left))) as never, this.#now))
    })
    return given
  }

  async nudge(wish: port.ClaimWish): Promise<port.Given> {
    const given: port.Given = { claimed: [], held: false, nextDueAt: null }
    await each(this.#roots, async (root) => {
      add(given, givenOf((await this.#runAt('nudge', root, this.#wishArgs({ ...wish, want: 0 }))) as never, this.#now))
    })
    return given
  }

  async finish({ id, tenant, fence, ending, servedMs }: port.Finish, next: port.ClaimWish): Promise<port.Finished> {
    const { how } = ending
    const then = how === 'retry' ? Math.ceil(ending.delayMs) : how === 'back' && ending.renew ? 1 : 0
    const error = how === 'failed' ? ending.error : ''
    const result = (how === 'failed' || how === 'succeeded') && ending.result ? ending.result : ''
    const args = [id, fence, how, servedMs ?? -1, then, error, result, ...this.#wishArgs(next)]
    const [kept, status, ...given] = await this.#run('finish', tenant, args)
    const isKept = number(kept) === 1
    return {
      kept: isKept,
      status: (text(status) || null) as port.JobStatus | null,
      ...givenOf(given as never, this.#now),
    }
  }

  async lend({ id, tenant, fence }: port.LeaseRef, next: port.ClaimWish): Promise<port.Given & { kept: boolean }> {
    const [kept, ...given] = await this.#run('lend', tenant, [id, fence, ...this.#wishArgs(next)])
    return { kept: number(kept) === 1, ...givenOf(given as never, this.#now) }
  }

  async extend(refs: readonly port.LeaseRef[]): Promise<port.LeaseState[]> {
    // Where a shard cannot be asked there is no news of its leases.
    const states = refs.map(({ fence }): port.LeaseState => (fence === 0 ? 'waiting' : 'held'))
    const places = refs.map((ref, at) => ({ ...ref, at, root: this.#store.keys.of(ref.tenant, 'q') }))
    await each([...Map.groupBy(places, ({ root }) => root)], async ([root, own]) => {
      for (let from = 0; from < own.length; from += MAX_STEPS) {
        const some = own.slice(from, from + MAX_STEPS)
        const args = some.flatMap(({ id, fence }) => [id, fence])
        const reply = await this.#runAt('extend', root, args)
        for (const [nth, { at }] of some.entries()) states[at] = text(reply[nth]) as port.LeaseState
      }
    })
    return states
  }

  async tick(wish: port.ClaimWish): Promise<port.Ticked> {
    const all: port.Ticked = { ended: [], lost: 0, forgotten: [], held: false, nextDueAt: null }
    await each(this.#roots, async (root) => {
      const reply = await this.#runAt('tick', root, this.#wishArgs({ ...wish, want: 0 }))
      const [ended, lost, forgotten, held, dueInMs] = reply as [unknown[][], unknown, unknown[][], unknown, unknown]
      for (const [id, tenant, status, cls] of ended)
        all.ended.push({ ...named(id, tenant), status: text(status) as port.JobStatus, class: CLASSES[number(cls)]! })
      for (const [id, tenant, result] of forgotten) all.forgotten.push({ ...named(id, tenant), result: bytes(result) })
      all.lost += number(lost)
      all.held ||= number(held) === 1
      all.nextDueAt = sooner(all.nextDueAt, dueAt(dueInMs, this.#now))
    })
    return all
  }

  async cancel(tenant: string, id: string, wish: port.ClaimWish): ReturnType<port.Scheduler['cancel']> {
    const reply = await this.#run('cancel', tenant, [tenant, id, ...this.#wishArgs({ ...wish, want: 0 })])
    const record = recordOfReply(reply[1])
    return record && { record, cancelled: number(reply[0]) === 1 }
  }

  async retry(tenant: string, id: string, queueMs: number, width: number): ReturnType<port.Scheduler['retry']> {
    const reply = await this.#run('retry', tenant, [tenant, id, queueMs, this.#width(width)])
    const record = recordOfReply(reply[1])
    return record && { record, retried: number(reply[0]) === 1 }
  }

  async drop(tenant: string, id: string): ReturnType<port.Scheduler['drop']> {
    const [dropped, result] = await this.#run('drop', tenant, [tenant, id])
    return number(dropped) === 1 ? { result: bytes(result) } : undefined
  }

  async look(tenant: string, id: string): Promise<port.JobRecord | null> {
    return recordOfReply((await this.#run('look', tenant, [tenant, id]))[0])
  }

  result(tenant: string, id: string): Promise<Buffer | null> {
    const root = this.#store.keys.of(tenant, 'q')
    return this.#store.runBulk('queue.result', async (redis) => {
      const [words, result] = await redis.mgetBuffer(`${root}:job:${id}`, `${root}:res:${id}`)
      return words && ownerOf(words) === tenant ? (result ?? null) : null
    })
  }

  dropResult(tenant: string, id: string): Promise<Buffer | null> {
    const root = this.#store.keys.of(tenant, 'q')
    return this.#store.run('queue.drop', async (redis) => {
      const job = await redis.getBuffer(`${root}:job:${id}`)
      return job && ownerOf(job) === tenant ? redis.getdelBuffer(`${root}:res:${id}`) : null
    })
  }

  async list({ tenant, principal, status, limit, after }: port.JobQuery): Promise<port.JobRecord[]> {
    const key = `${this.#store.keys.of(tenant, 'q')}:list:${tenant}:${principal}`
    const found: port.JobRecord[] = []
    for (let from = after; found.length < limit; ) {
      const max = from === null ? '+' : `(${from}`
      const ids = await this.#store.run('queue.list', (redis) =>
        redis.zrevrangebylex(key, max, '-', 'LIMIT', 0, MAX_STEPS),
      )
      const records = (await this.#records(this.#store.keys.of(tenant, 'q'), tenant, ids)).filter((one) => one !== null)
      found.push(...records.filter((record) => status === null || record.status === status))
      if (ids.length < MAX_STEPS) break
      from = ids.at(-1)!
    }
    return found.slice(0, limit)
  }

  async #records(root: string, tenant: string, ids: readonly string[]): Promise<(port.JobRecord | null)[]> {
    if (ids.length === 0) return []
    return (await this.#runAt('look', root, [tenant, ...ids])).map(recordOfReply)
  }

  async watch(tenant: string, id: string, process: string): Promise<void> {
    await this.#run('watch', tenant, [tenant, id, process])
  }

  async configure(tenant: string, limits: port.TenantLimits, wish: port.ClaimWish): Promise<port.Given> {
    const args = [tenant, limitsText(limits), ...this.#wishArgs({ ...wish, want: 0 })]
    return givenOf((await this.#run('configure', tenant, args)) as never, this.#now)
  }

  tenants(cursor: string): Promise<{ cursor: string; tenants: string[] }> {
    return this.#page(cursor, async (root, from) => {
      const [next, tenants] = await this.#store.run('queue.tenants', (redis) =>
        redis.sscan(`${root}:tenants`, from, 'COUNT', MAX_STEPS),
      )
      return { next, items: tenants }
    }).then(({ cursor, items }) => ({ cursor, tenants: items }))
  }

  async loads(tenants: readonly string[]): Promise<port.TenantLoad[]> {
    const loads: port.TenantLoad[] = []
    for (const [root, own] of Map.groupBy(tenants, (tenant) => this.#store.keys.of(tenant, 'q'))) {
      for (let from = 0; from < own.length; from += MAX_STEPS) {
        const some = own.slice(from, from + MAX_STEPS)
        const replies = (await this.#runAt('loads', root, some)) as unknown[][]
        loads.push(...some.map((tenant, at) => loadOf(tenant, replies[at]!)))
      }
    }
    return loads
  }

  async find(id: string): Promise<port.JobRecord | null> {
    const found = await Promise.all(this.#roots.map((root) => this.#records(root, '', [id])))
    return found.flat().find((record) => record !== null) ?? null
  }

  async jobs(cursor: string): Promise<{ cursor: string; jobs: port.JobRecord[] }> {
    const page = await this.#page(cursor, async (root, from) => {
      const [next, flat] = await this.#store.run('queue.jobs', (redis) =>
        redis.zscan(`${root}:due`, from, 'COUNT', MAX_STEPS / 2),
      )
      // A small set comes whole, however few were asked for.
      const ids = flat.filter((_, at) => at % 2 === 0)
      const items: port.JobRecord[] = []
      for (let at = 0; at < ids.length; at += MAX_STEPS) {
        const records = await this.#records(root, '', ids.slice(at, at + MAX_STEPS))
        items.push(...records.filter((record) => record !== null))
      }
      return { next, items }
    })
    return { cursor: page.cursor, jobs: page.items }
  }

  /** One page of one shard; the cursor says which: `<shard>.<cursor there>`. */
  async #page<T>(cursor: string, read: (root: string, from: string) => Promise<{ next: string; items: T[] }>) {
    const [shard, from] = cursor === '0' ? [0, '0'] : [Number(cursor.split('.')[0]), cursor.split('.')[1]!]
    const { next, items } = await read(this.#roots[shard]!, from)
    if (next !== '0') return { cursor: `${shard}.${next}`, items }
    return { cursor: shard + 1 < this.#roots.length ? `${shard + 1}.0` : '0', items }
  }

  async dead(limit: number): Promise<port.JobRecord[]> {
    const found: port.JobRecord[] = []
    for (const root of this.#roots) {
      const ids = await this.#store.run('queue.dead', (redis) => redis.zrevrange(`${root}:dead`, 0, limit - 1))
      for (let from = 0; from < ids.length; from += MAX_STEPS) {
        const records = await this.#records(root, '', ids.slice(from, from + MAX_STEPS))
        found.push(...records.filter((record) => record !== null))
      }
    }
    return found.sort((a, b) => b.finishedAt! - a.finishedAt!).slice(0, limit)
  }

  wait(upstreams: readonly string[], waitMs: number, signal: AbortSignal): Promise<void> {
    return this.#marks.wait(upstreams, waitMs, signal)
  }

  onPush(heard: (push: port.Push) => void): () => void {
    return this.#store.bus.listen((message) => {
      const [kind, id] = message.split(' ', 2)
      if (kind === 'granted') heard({ kind, slot: id! })
      else if (kind === 'changed' || kind === 'stop') heard({ kind, job: id! })
    })
  }

  async close(): Promise<void> {
    await this.#marks.close()
    this.#replicas.close()
  }

  get #now(): number {
    return this.#nowAt() || Date.now()
  }

  /** Of a Cluster's shards each has its part of an upstream's width, at least one. */
  #width(width: number): number {
    return Math.max(1, Math.floor(width / this.#roots.length))
  }

  #wishArgs({ process, want, upstreams }: port.ClaimWish, splits = true): Argument[] {
    const width = (width: number) => (splits ? this.#width(width) : width)
    return [process, want, ...upstreams.flatMap((one) => [one.name, width(one.width), one.allow, one.avoid.join(' ')])]
  }

  #run(name: Name, tenant: string, args: Argument[], bucket?: string, how: 'patiently' | 'quickly' = 'patiently') {
    const second = bucket === undefined ? [] : [this.#store.keys.of(tenant, 'limit', bucket)]
    return this.#call(name, this.#store.keys.of(tenant, 'q'), second, args, how)
  }

  #runAt(name: Name, root: string, args: readonly Argument[]): Promise<unknown[]> {
    return this.#call(name, root, [], args, 'patiently')
  }

  /**
   * Every script names two keys that never exist both. So a Cluster refuses it (ASK, then TRYAGAIN) while its slot moves
   * to another node; a script that names one key would run on the half of the keys that is there already.
   */
  async #call(
    name: Name,
    root: string,
    second: readonly string[],
    args: readonly Argument[],
    how: 'patiently' | 'quickly',
  ): Promise<unknown[]> {
    const keys = [root, second[0] ?? `${root}:none`]
    const all = [this.#nowAt(), this.#store.keys.channel, ...args]
    const run = how === 'quickly' ? this.#store.run : this.#store.runPatiently
    const reply = await run.call(this.#store, `queue.${name}`, (redis) => SCRIPTS[name](redis, keys, all))
    if (name === 'watch') return [reply]
    if (!Array.isArray(reply)) throw new StoreUnavailable(`queue.${name}`, new Error('an answer that is none of ours'))
    return reply
  }
}

/**
 * Shard by shard. One that cannot be asked (its slot moves, its node is down) holds up only its own tenants, and what
 * the others gave is not lost over it; only where none answers the failure is told.
 */
async function each<T>(shards: readonly T[], ask: (shard: T) => Promise<void>): Promise<void> {
  let failures = 0
  for (const shard of shards) {
    try {
      await ask(shard)
    } catch (error) {
      if (!(error instanceof StoreUnavailable) || ++failures === shards.length) throw error
    }
  }
}

const named = (id: unknown, tenant: unknown) => ({ id: text(id), tenant: text(tenant) })

const limitsText = ({ weight, hard, soft, maxQueue, paused }: port.TenantLimits): string =>
  `${weight} ${hard} ${soft} ${maxQueue} ${paused ? 1 : 0}`

function doorArgs({ rate, shadow }: port.Door): Argument[] {
  const only = `${shadow.rate ? 'r' : ''}${shadow.queue ? 'q' : ''}`
  return [only, ...(rate ? [rate.emissionUs, rate.burst, Math.floor(rate.nowAt) * 1_000] : [0, 0, 0])]
}

function orderArgs(order: port.JobOrder): Argument[] {
  const { id, tenant, upstream, route, width, principal, keepsPayload, queueMs, keepMs, idempotency, payload } = order
  const names = [id, tenant, upstream, route, CLASSES.indexOf(order.class), width, principal, keepsPayload ? '1' : '-']
  return [...names, queueMs, keepMs, idempotency?.key ?? '', idempotency?.fingerprint ?? '', payload]
}

function loadOf(tenant: string, reply: unknown[]): port.TenantLoad {
  const [running, interactive, ordinary, batch, oldestAt] = reply.slice(0, 5).map(number) as [
    number,
    number,
    number,
    number,
    number,
  ]
  const paused = text(reply[5]) === '1'
  return { tenant, running, depth: [interactive, ordinary, batch], oldestAt: oldestAt < 0 ? null : oldestAt, paused }
}

/** What is left of a wish once some of it was served. */
function lessOf(wish: port.ClaimWish, claimed: readonly port.Claimed[]): port.ClaimWish {
  const taken = (name: string) => claimed.filter(({ upstream }) => upstream === name).length
  const upstreams = wish.upstreams.map((one) => ({ ...one, allow: Math.max(0, one.allow - taken(one.name)) }))
  return { ...wish, want: wish.want - claimed.length, upstreams }
}

function add(all: port.Given, more: port.Given): void {
  all.claimed.push(...more.claimed)
  all.held ||= more.held
  all.nextDueAt = sooner(all.nextDueAt, more.nextDueAt)
}

const sooner = (a: number | null, b: number | null): number | null => (a === null ? b : b === null ? a : Math.min(a, b))
