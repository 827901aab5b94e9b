import type { RedisClient } from '../kernel/redis/connection.ts'
import type { RedisStore } from '../kernel/redis/store.ts'

/** A blocking read that has not come back this long after its time hangs (ioredis #1888) and is begun on a new connection. */
const GRACE_MS = 2_000

type MarkStore = Pick<RedisStore, 'openBlocking' | 'run' | 'process'>

interface Waiter {
  upstreams: readonly string[]
  wake: () => void
}

/**
 * Waits for marks (scripts/wish.lua) with BZPOPMIN on a connection per shard, which wakes one worker of the fleet and not
 * all of them. A mark that comes when nobody here waits any more is given back, so that it wakes somebody else.
 */
export class Marks {
  readonly #store: MarkStore
  readonly #posts: readonly Post[]
  #turn = 0

  constructor(store: MarkStore, roots: readonly string[]) {
    this.#store = store
    this.#posts = roots.map((root) => new Post(root, this.#store))
  }

  /** All shards, the marked ones first, from another one on each time. */
  inTurn(): string[] {
    const from = this.#turn++ % this.#posts.length
    const rotated = [...this.#posts.slice(from), ...this.#posts.slice(0, from)]
    return rotated.toSorted((a, b) => Number(b.takeMarked()) - Number(a.takeMarked())).map(({ root }) => root)
  }

  async wait(upstreams: readonly string[], waitMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted || upstreams.length === 0) return this.#pause(waitMs, signal)
    const woken = new AbortController()
    const waiter = { upstreams, wake: () => woken.abort() }
    for (const post of this.#posts) post.enter(waiter, waitMs)
    await this.#pause(waitMs, AbortSignal.any([signal, woken.signal]))
    for (const post of this.#posts) post.leave(waiter)
  }

  #pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const end = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', end)
        resolve()
      }
      const timer = setTimeout(end, ms)
      signal.addEventListener('abort', end)
    })
  }

  async close(): Promise<void> {
    for (const post of this.#posts) post.close()
  }
}

/** One shard's blocking connection, opened when it is first waited on. */
class Post {
  readonly root: string
  readonly #ownKey: string
  readonly #store: MarkStore
  readonly #waiters = new Set<Waiter>()
  #redis: RedisClient | undefined
  #isMarked = false
  #reading: readonly string[] | undefined
  #closed = false

  constructor(root: string, store: MarkStore) {
    this.root = root
    this.#store = store
    this.#ownKey = `${root}:mark:@${store.process}`
  }

  takeMarked(): boolean {
    const marked = this.#isMarked
    this.#isMarked = false
    return marked
  }

  enter(waiter: Waiter, waitMs: number): void {
    this.#waiters.add(waiter)
    if (!this.#reading) void this.#read(waiter.upstreams, waitMs)
    else if (waiter.upstreams.some((name) => !this.#reading!.includes(name))) this.#unblock()
  }

  leave(waiter: Waiter): void {
    this.#waiters.delete(waiter)
  }

  async #read(upstreams: readonly string[], waitMs: number): Promise<void> {
    this.#reading = upstreams
    this.#redis ??= this.#store.openBlocking()
    const redis = this.#redis
    const hangs = setTimeout(() => redis.disconnect(true), waitMs + GRACE_MS)
    try {
      const keys = upstreams.map((name) => `${this.root}:mark:${name}`)
      const popped = await redis.bzpopmin(this.#ownKey, ...keys, waitMs / 1_000)
      if (popped && popped[0] !== this.#ownKey) this.#marked(popped[0])
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100)) // the connection broke; the store reports its outages itself
    } finally {
      clearTimeout(hangs)
      this.#reading = undefined
    }
    const [next] = this.#waiters
    if (next && !this.#closed) void this.#read(next.upstreams, waitMs)
  }

  #marked(key: string): void {
    const name = key.slice(`${this.root}:mark:`.length)
    const waiter = [...this.#waiters].find(({ upstreams }) => upstreams.includes(name))
    if (!waiter) {
      // Nobody here wants it any more. Where the store is away now, the next change sets the mark anew.
      this.#store.run('queue.mark', (redis) => redis.zadd(key, 0, '1')).catch(() => {})
      return
    }
    this.#isMarked = true
    this.#waiters.delete(waiter)
    waiter.wake()
  }

  /** Ends the read, so that the next one waits for other upstreams too: by a mark that only this process waits for. */
  #unblock(): void {
    this.#store.run('queue.mark', (redis) => redis.zadd(this.#ownKey, 0, '1')).catch(() => {}) // it ends by itself as well
  }

  close(): void {
    this.#closed = true
    for (const { wake } of this.#waiters) wake()
    this.#redis?.disconnect()
  }
}
