import type { RedisClient } from '../kernel/redis/connection.ts'
import type { RedisStore } from '../kernel/redis/store.ts'

/** How long a job may take to reach a replica, ms. */
export const REPLICA_MS = 1_000
/** A server that says nothing at all is given up after this long, ms. */
const SILENT_MS = 2 * REPLICA_MS

/** What is written for each round goes by itself, ms. */
const KEEP_MS = 60_000

interface Round {
  ids: string[]
  /** Those that a replica has. */
  found: Promise<ReadonlySet<string>>
}

/**
 * Asks whether jobs are on a replica of their master: one round at a time per shard, for all who have come meanwhile, and
 * on a connection of its own, for WAIT holds up whatever stands behind it.
 *
 * A round is one pipeline, which ioredis never splits over two sockets: a write, so that there is something to wait for;
 * EXISTS of each job, so that it is asked of the master that has them, and not of another one before or after a
 * failover; then WAIT. In a Cluster all keys of a pipeline are of one node, and WAIT alone would go to any.
 */
export class Replicas {
  readonly #store: Pick<RedisStore, 'openBlocking'>
  readonly #next = new Map<string, Round>()
  readonly #last = new Map<string, Promise<unknown>>()
  #redis: RedisClient | undefined

  constructor(store: Pick<RedisStore, 'openBlocking'>) {
    this.#store = store
  }

  /** Whether a replica has this job, within `REPLICA_MS` or the double where a round is under way. Rejects when the store is away. */
  async have(root: string, id: string): Promise<boolean> {
    const round = this.#next.get(root) ?? this.#plan(root)
    round.ids.push(id)
    return (await round.found).has(id)
  }

  #plan(root: string): Round {
    const ids: string[] = []
    const before = this.#last.get(root) ?? Promise.resolve()
    const found = before.then(() => {
      this.#next.delete(root)
      return this.#ask(root, ids)
    })
    const round = { ids, found }
    this.#next.set(root, round)
    this.#last.set(
      root,
      found.catch(() => {}), // each of those who wait is told
    )
    return round
  }

  async #ask(root: string, ids: readonly string[]): Promise<ReadonlySet<string>> {
    this.#redis ??= this.#store.openBlocking()
    const asked = this.#redis.pipeline().set(`${root}:replicated`, '1', 'PX', KEEP_MS)
    for (const id of ids) asked.exists(`${root}:job:${id}`)
    const replies = await this.#answer(asked.wait(1, REPLICA_MS).exec())
    const failed = replies.find(([error]) => error)
    if (failed) throw failed[0]
    const replicas = Number(replies.at(-1)![1])
    return new Set(ids.filter((_, at) => replicas > 0 && replies[at + 1]![1] === 1))
  }

  async #answer<T>(answer: Promise<T | null>): Promise<T> {
    const silent = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      this.#redis?.disconnect(true)
      silent.reject(new Error(`no answer within ${SILENT_MS} ms`))
    }, SILENT_MS)
    try {
      return (await Promise.race([answer, silent.promise]))!
    } finally {
      clearTimeout(timer)
    }
  }

  close(): void {
    this.#redis?.disconnect()
  }
}
