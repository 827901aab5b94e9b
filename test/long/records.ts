import { setTimeout as pause } from 'node:timers/promises'
import type { RedisPlace } from '../../src/kernel/redis/connection.ts'
import { RedisStore } from '../../src/kernel/redis/store.ts'
import { RedisScheduler } from '../../src/queue/scheduler.redis.ts'
import type { JobRecord } from '../../src/queue/scheduler.ts'
import type { Accepted } from './clients.ts'

const STEP_MS = 250

/** The scheduler's own records of jobs, looked at from outside. */
export class Records implements AsyncDisposable {
  readonly #store: RedisStore
  readonly #scheduler: RedisScheduler

  constructor(place: Omit<RedisPlace, 'keyPrefix' | 'commandTimeoutMs'>) {
    this.#store = new RedisStore({ ...place, keyPrefix: 'sluice:', commandTimeoutMs: 2_000 })
    this.#scheduler = new RedisScheduler({ store: this.#store })
  }

  /** Resolves with the records of these jobs, in their order, once all have ended. Throws what has not, when it is late. */
  async whenEnded(jobs: readonly Accepted[], withinMs: number): Promise<JobRecord[]> {
    const records = new Map<string, JobRecord | null>()
    const untilAt = performance.now() + withinMs
    let open: readonly Accepted[] = jobs
    for (;;) {
      for (const { id, task } of open) records.set(id, await this.#look(task.tenant, id))
      open = open.filter(({ id }) => !hasEnded(records.get(id)))
      if (open.length === 0) return jobs.map(({ id }) => records.get(id)!)
      if (performance.now() > untilAt) {
        const some = open.slice(0, 3).map(({ id }) => JSON.stringify(records.get(id) ?? `no record of ${id}`))
        throw new Error(`${open.length} of ${jobs.length} jobs have not ended in ${withinMs} ms: ${some.join(' ')}`)
      }
      await pause(STEP_MS)
    }
  }

  async #look(tenant: string, id: string): Promise<JobRecord | null> {
    try {
      return await this.#scheduler.look(tenant, id)
    } catch {
      await this.#store.firstContact(5_000)
      return null
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scheduler.close()
    await this.#store[Symbol.asyncDispose]()
  }
}

const hasEnded = (record: JobRecord | null | undefined): boolean => record?.finishedAt != null
