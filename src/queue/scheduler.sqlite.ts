import { StoreUnavailable } from '../kernel/errors.ts'
import type { DatabasePlace } from './database.sqlite.ts'
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
 * While the file takes nothing (a full disk), what was changed meanwhile stays noted for the next try, which every
 * operation makes; whoever asked is told StoreUnavailable, and no more work is taken in or handed out until it is written.
 */
export class SqliteScheduler extends MemoryScheduler {
  readonly #journal: Journal
  #commit: Promise<void> | undefined
  #isBehind = false
  /** Endings that stand although their callers were told they do not, by job: they may come again. */
  readonly #unheard = new Map<string, { fence: number; status: port.JobStatus | null }>()
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
      throw error
    }
  }

  protected override dirty(id: string, job: JobEntry | null): void {
    this.#journal.note(id, job)
    if (!job) this.#unheard.delete(id)
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

  override async submit(...order: Parameters<port.Scheduler['submit']>): Promise<port.Submitted> {
    await this.#caughtUp()
    return super.submit(...order)
  }

  override async record(...order: Parameters<port.Scheduler['record']>): ReturnType<port.Scheduler['record']> {
    await this.#caughtUp()
    return super.record(...order)
  }

  override async claim(wish: port.ClaimWish): Promise<port.Given> {
    await this.#caughtUp()
    return super.claim(wish)
  }

  /** An ending that was not written when it first came is the one that stands when it comes again. */
  override async finish(finish: port.Finish, next: port.ClaimWish): Promise<port.Finished> {
    const { id, fence } = finish
    const unheard = this.#unheard.get(id)
    if (unheard?.fence === fence) {
      const given = await this.nudge(next)
      this.#unheard.delete(id)
      return { kept: true, status: unheard.status, ...given }
    }
    let told: port.Finished | undefined
    try {
      return await this.handing((nowAt) => (told = this.shard.finish(finish, next, nowAt)), next)
    } catch (error) {
      if (told?.kept) this.#unheard.set(id, { fence, status: told.status })
      throw error
    }
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

const endOfTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
