import { StoreUnavailable } from '../kernel/errors.ts'
import { type DatabasePlace, unusable } from './database.sqlite.ts'
import type { JobEntry } from './entry.ts'
import { Journal } from './journal.sqlite.ts'
import { MemoryScheduler, type MemorySchedulerOptions } from './scheduler.memory.ts'
import type * as port from './scheduler.ts'

export interface SqliteSchedulerOptions extends Omit<MemorySchedulerOptions, 'blobs'>, DatabasePlace {
  /** What a tenant may have whose jobs another life of this process left behind. */
  limitsOf: (tenant: string) => port.TenantLimits
}

/**
 * The embedded store's: the structure in memory decides, and every job lies in a file too. An operation changes the
 * structure at once and answers when the file has it; operations of one turn of the event loop share a transaction, so
 * that a busy process pays for few. Waiting requests and leases are never written: they end with the process.
 *
 * While the file takes nothing (a full disk), whoever asked is told StoreUnavailable. What was changed stays noted for
 * the next try, which every operation makes; but work that was refused is taken out again, jobs that were handed to
 * nobody go back, and no more of either is begun until the file has caught up.
 */
export class SqliteScheduler extends MemoryScheduler {
  readonly #journal: Journal
  #commit: Promise<void> | undefined
  #isBehind = false
  #closing: Promise<void> | undefined

  /** Throws DatabaseUnusable. */
  constructor({ file, synchronous, limitsOf, ...options }: SqliteSchedulerOptions) {
    const journal = new Journal({ file, synchronous })
    super({ ...options, blobs: journal })
    this.#journal = journal
    try {
      for (const job of journal.jobs()) this.shard.restore(job, limitsOf(job.tenant), this.clock.now())
    } catch (error) {
      journal.close()
      throw unusable(file, error)
    }
  }

  protected override dirty(id: string, job: JobEntry | null): void {
    this.#journal.note(id, job)
  }

  protected override async kept(): Promise<void> {
    if (this.#journal.isClean) return
    this.#commit ??= endOfTurn().then(() => this.#write())
    await this.#commit
  }

  #write(): void {
    this.#commit = undefined
    try {
      this.#journal.commit()
      this.#isBehind = false
    } catch (cause) {
      this.#isBehind = true
      throw new StoreUnavailable('queue.commit', cause)
    }
  }

  async #caughtUp(): Promise<void> {
    if (this.#isBehind) await this.kept()
  }

  override submit(order: port.JobOrder, limits: port.TenantLimits, door: port.Door): Promise<port.Submitted> {
    return this.#takingIn(order, () => super.submit(order, limits, door))
  }

  override record(order: port.JobOrder, result: Buffer): ReturnType<port.Scheduler['record']> {
    return this.#takingIn(order, () => super.record(order, result))
  }

  async #takingIn<T>({ tenant, id }: port.JobOrder, takeIn: () => Promise<T>): Promise<T> {
    await this.#caughtUp()
    try {
      return await takeIn()
    } catch (error) {
      this.shard.cancel(tenant, id, NOBODY, this.clock.now())
      this.shard.drop(tenant, id)
      throw error
    }
  }

  override async claim(wish: port.ClaimWish): Promise<port.Given> {
    await this.#caughtUp()
    return super.claim(wish)
  }

  /** Jobs whose claim was not written were handed to nobody: back they go, or each failed try would cost them a lease. */
  protected override async handing<T extends port.Given>(
    operation: (nowAt: number) => T,
    next: port.ClaimWish,
  ): Promise<T> {
    let given: T | undefined
    try {
      return await this.after((nowAt) => (given = operation(nowAt)))
    } catch (error) {
      for (const claimed of given?.claimed ?? []) this.#takeBack(claimed, next)
      throw error
    }
  }

  #takeBack({ id, tenant, fence }: port.Claimed, next: port.ClaimWish): void {
    const finish = { id, tenant, fence, ending: { how: 'back', renew: false }, servedMs: null } as const
    this.shard.finish(finish, { ...next, want: 0 }, this.clock.now())
  }

  override close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await super.close()
    try {
      this.#write()
    } finally {
      this.#journal.close()
    }
  }
}

const NOBODY: port.ClaimWish = { process: '', want: 0, upstreams: [] }

/** Measured over 16 and 128 sockets: 1.2 to 2.5 times the submissions that a microtask groups with normal, 2 to 3 with full. */
const endOfTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
