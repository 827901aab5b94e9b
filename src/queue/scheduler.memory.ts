import type { Clock } from '../kernel/clock.ts'
import type { Blobs } from './blobs.ts'
import type { JobEntry } from './entry.ts'
import type * as port from './scheduler.ts'
import { Shard, type ShardHooks } from './shard.ts'

export interface MemorySchedulerOptions {
  clock: Clock
  takeRate?: ShardHooks['takeRate']
  /** Where payloads and results lie; in memory, if nothing is said. */
  blobs?: Blobs
}

interface Waiter {
  upstreams: readonly string[]
  wake: () => void
}

/** For one process, and only as long as it lives: slots of the embedded store, and every process's own while Redis is away. */
export class MemoryScheduler implements port.Scheduler {
  protected readonly clock: Clock
  protected readonly shard: Shard
  readonly #heard = new Set<(push: port.Push) => void>()
  /** Workers that wait for a mark, the longest wait first. */
  readonly #waiters = new Set<Waiter>()

  constructor({ clock, takeRate, blobs }: MemorySchedulerOptions) {
    this.clock = clock
    const hooks: ShardHooks = {
      push: (_process, push) => this.#push(push),
      marked: (upstream) => this.#marked(upstream),
      dirty: (id, job) => this.dirty(id, job),
      ...(takeRate && { takeRate }),
    }
    this.shard = new Shard(hooks, blobs)
  }

  /** For adapters that keep jobs: called within the operation that changed one. */
  protected dirty(_id: string, _job: JobEntry | null): void {}

  /** Resolves when what was changed so far is kept as it promises. */
  protected async kept(): Promise<void> {}

  /** Runs an operation at once, and answers when what it changed is kept. */
  protected async after<T>(operation: (nowAt: number) => T): Promise<T> {
    const answer = operation(this.clock.now())
    await this.kept()
    return answer
  }

  /** As `after`, for operations that may hand out jobs. */
  protected handing<T extends port.Given>(operation: (nowAt: number) => T, _next: port.ClaimWish): Promise<T> {
    return this.after(operation)
  }

  submit(order: port.JobOrder, limits: port.TenantLimits, door: port.Door): Promise<port.Submitted> {
    return this.after((nowAt) => this.shard.submit(order, limits, door, nowAt))
  }

  record(order: port.JobOrder, result: Buffer): ReturnType<port.Scheduler['record']> {
    return this.after((nowAt) => this.shard.record(order, result, nowAt))
  }

  async acquire(wish: port.SlotWish, limits: port.TenantLimits, door: port.Door): Promise<port.Taken> {
    return this.shard.acquire(wish, limits, door, this.clock.now())
  }

  release(slot: { id: string; tenant: string; servedMs: number | null }, next: port.ClaimWish): Promise<port.Given> {
    return this.handing((nowAt) => this.shard.release(slot, next, nowAt), next)
  }

  claim(wish: port.ClaimWish): Promise<port.Given> {
    return this.handing((nowAt) => this.shard.claim(wish, nowAt), wish)
  }

  finish(finish: port.Finish, next: port.ClaimWish): Promise<port.Finished> {
    return this.handing((nowAt) => this.shard.finish(finish, next, nowAt), next)
  }

  lend(ref: port.LeaseRef, next: port.ClaimWish): Promise<port.Given & { kept: boolean }> {
    return this.handing((nowAt) => this.shard.lend(ref, next, nowAt), next)
  }

  async extend(refs: readonly port.LeaseRef[]): Promise<port.LeaseState[]> {
    return this.shard.extend(refs, this.clock.now())
  }

  nudge(wish: port.ClaimWish): Promise<port.Given> {
    return this.handing((nowAt) => this.shard.nudge(wish, nowAt), wish)
  }

  tick(wish: port.ClaimWish): Promise<port.Ticked> {
    return this.after((nowAt) => this.shard.tick(wish, nowAt))
  }

  cancel(tenant: string, id: string, wish: port.ClaimWish): ReturnType<port.Scheduler['cancel']> {
    return this.after((nowAt) => this.shard.cancel(tenant, id, wish, nowAt))
  }

  retry(tenant: string, id: string, queueMs: number, width: number): ReturnType<port.Scheduler['retry']> {
    return this.after((nowAt) => this.shard.retry(tenant, id, queueMs, width, nowAt))
  }

  drop(tenant: string, id: string): ReturnType<port.Scheduler['drop']> {
    return this.after(() => this.shard.drop(tenant, id))
  }

  async look(tenant: string, id: string): Promise<port.JobRecord | null> {
    return this.shard.look(tenant, id)
  }

  async result(tenant: string, id: string): Promise<Buffer | null> {
    return this.shard.result(tenant, id)
  }

  dropResult(tenant: string, id: string): Promise<Buffer | null> {
    return this.after(() => this.shard.dropResult(tenant, id))
  }

  async list(query: port.JobQuery): Promise<port.JobRecord[]> {
    return this.shard.list(query)
  }

  async watch(tenant: string, id: string, process: string): Promise<void> {
    this.shard.watch(tenant, id, process)
  }

  configure(tenant: string, limits: port.TenantLimits, wish: port.ClaimWish): Promise<port.Given> {
    return this.after((nowAt) => this.shard.configure(tenant, limits, wish, nowAt))
  }

  async tenants(_cursor: string): Promise<{ cursor: string; tenants: string[] }> {
    return { cursor: '0', tenants: this.shard.tenants() }
  }

  async loads(tenants: readonly string[]): Promise<port.TenantLoad[]> {
    return tenants.map((tenant) => this.shard.load(tenant))
  }

  async find(id: string): Promise<port.JobRecord | null> {
    return this.shard.find(id)
  }

  async jobs(_cursor: string): Promise<{ cursor: string; jobs: port.JobRecord[] }> {
    return { cursor: '0', jobs: this.shard.jobs() }
  }

  async dead(limit: number): Promise<port.JobRecord[]> {
    return this.shard.dead(limit)
  }

  async wait(upstreams: readonly string[], waitMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.shard.takeMark(upstreams) !== null) return
    const woken = new AbortController()
    const waiter = { upstreams, wake: () => woken.abort() }
    this.#waiters.add(waiter)
    await this.clock.sleep(waitMs, AbortSignal.any([signal, woken.signal])).catch(() => {}) // woken, or no longer wanted
    this.#waiters.delete(waiter)
  }

  /** One worker is woken, as by BZPOPMIN: it takes the mark. */
  #marked(upstream: string): void {
    for (const waiter of this.#waiters) {
      if (!waiter.upstreams.includes(upstream)) continue
      this.#waiters.delete(waiter)
      this.shard.takeMark([upstream])
      waiter.wake()
      return
    }
  }

  #push(push: port.Push): void {
    for (const heard of this.#heard) heard(push)
  }

  onPush(heard: (push: port.Push) => void): () => void {
    this.#heard.add(heard)
    return () => this.#heard.delete(heard)
  }

  async close(): Promise<void> {
    for (const { wake } of this.#waiters) wake()
  }
}
