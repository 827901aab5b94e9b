import Redlock, { ExecutionError, type ExecutionStats, type Lock, type LockClient, ResourceLockedError } from 'redlock'
import { StoreUnavailable } from '../kernel/errors.ts'
import { connectCommands, type RedisClient } from '../kernel/redis/connection.ts'
import type { RedisStore } from '../kernel/redis/store.ts'

/** What the flight asks of the store. */
export type FlightStore = Pick<RedisStore, 'run' | 'bus' | 'keys'>

type Run = <T>(work: (redis: RedisClient) => Promise<T>) => Promise<T>

/**
 * The lease of a key, by Redlock: over the store's own Redis, or over independent masters (`lockUrls`).
 * It tries once, waits for nothing (`retryCount: 0`: waiting is by push) and turns Redlock's votes into two outcomes:
 * held by someone else, or StoreUnavailable.
 *
 * With masters of its own the lease's value is written to the store too, after each success: land.lua asks for it
 * there before it tells a landing.
 */
export class Locks {
  readonly #redlock: Redlock
  readonly #runs: Run[]
  readonly #own: RedisClient[]
  readonly #store: FlightStore
  readonly #leaseMs: number

  constructor(options: { store: FlightStore; leaseMs: number; lockUrls: readonly string[]; lockTimeoutMs: number }) {
    const { store, leaseMs, lockUrls, lockTimeoutMs: commandTimeoutMs } = options
    this.#store = store
    this.#leaseMs = leaseMs
    this.#own = lockUrls.map((url) => connectCommands({ url, keyPrefix: '', commandTimeoutMs }))
    this.#runs = this.#own.length
      ? this.#own.map((redis) => (work) => work(redis))
      : [(work) => store.run('lease', work)]
    this.#redlock = new Redlock(this.#runs.map(lockClient), { retryCount: 0 })
    // Each failed vote is also an 'error' event. Votes are counted below and the store reports its outages itself.
    this.#redlock.on('error', () => {})
  }

  /** Null when someone else holds it. Throws StoreUnavailable. */
  async acquire(key: string): Promise<Lock | null> {
    let lock: Lock | undefined
    try {
      lock = await this.#redlock.acquire([key], this.#leaseMs)
      await this.#mark(key, lock)
      return lock
    } catch (error) {
      if (lock) await this.releaseMasters(lock)
      if (await isHeldByOther(error)) return null
      throw unavailable(error)
    }
  }

  /** Null when it is no longer held by `lock`. Throws StoreUnavailable: then it may still be. */
  async extend(key: string, lock: Lock): Promise<Lock | null> {
    try {
      const extended = await this.#redlock.extend(lock, this.#leaseMs)
      // Without it a landing is told to nobody, who then looks for himself; the lease is held all the same.
      await this.#mark(key, extended).catch(() => {})
      return extended
    } catch (error) {
      if (error instanceof ExecutionError && error.attempts.length === 0) return null // expired before it was tried
      if (await isHeldByOther(error)) return null
      throw unavailable(error)
    }
  }

  /** Gives back what lies on masters of its own; on the store's Redis land.lua does it. Never throws. */
  async releaseMasters(lock: Lock): Promise<void> {
    if (this.#own.length) await this.#redlock.release(lock).catch(() => {}) // then it expires
  }

  /** How long the lease will still be held, ms; 0 when nobody holds it. Throws StoreUnavailable. */
  async leftMs(key: string): Promise<number> {
    const answers = await Promise.allSettled(this.#runs.map((run) => run((redis) => redis.pttl(key))))
    const lefts = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
    if (!lefts.length) throw unavailable((answers[0] as PromiseRejectedResult).reason)
    const leftMs = Math.max(...lefts)
    if (leftMs === -1) throw new StoreUnavailable('lease', new Error(`${key} never expires: it is no lease of ours`))
    return Math.max(0, leftMs)
  }

  close(): void {
    for (const redis of this.#own) redis.disconnect()
  }

  async #mark(key: string, lock: Lock): Promise<void> {
    if (!this.#own.length) return
    await this.#store.run('lease', (redis) => redis.set(key, lock.value, 'PX', this.#leaseMs))
  }
}

function lockClient(run: Run): LockClient {
  return {
    evalsha: (digest, keyCount, args) => plain(run((redis) => redis.evalsha(digest, keyCount, ...args))),
    eval: (source, keyCount, args) => plain(run((redis) => redis.eval(source, keyCount, ...args))),
  }
}

/** Redlock knows a missing script by the server's own words, which the store hands out as a cause. */
async function plain(reply: Promise<unknown>): Promise<unknown> {
  try {
    return await reply
  } catch (error) {
    const cause = error instanceof StoreUnavailable ? error.cause : error
    throw cause instanceof Error && cause.message.startsWith('NOSCRIPT') ? cause : error
  }
}

/** Most masters answered, and one or more of them said that the key is held: a refusal, not an outage. */
async function isHeldByOther(error: unknown): Promise<boolean> {
  if (!(error instanceof ExecutionError) || !error.attempts.length) return false
  const stats: ExecutionStats = await error.attempts[0]!
  const locked = [...stats.votesAgainst.values()].filter((vote) => vote instanceof ResourceLockedError).length
  return locked > 0 && locked + stats.votesFor.size >= stats.quorumSize
}

const unavailable = (error: unknown): StoreUnavailable =>
  error instanceof StoreUnavailable ? error : new StoreUnavailable('lease', error)
