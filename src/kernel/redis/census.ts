import { type Clock, systemClock } from '../clock.ts'
import { randomToken } from '../digest.ts'
import { luaScript } from './script.ts'
import type { RedisStore } from './store.ts'

const censusScript = luaScript(new URL('./scripts/census.lua', import.meta.url))

/** A gateway may start before its store is there; until it was counted once it tries this often. */
const FIRST_BEAT_MS = 500

export interface CensusOptions {
  store: Pick<RedisStore, 'run' | 'keys'>
  /** How often this process says that it lives, ms. */
  beatMs?: number
  /** A process not heard of for this long is not counted, ms: three missed beats. */
  deadAfterMs?: number
  clock?: Clock
}

/**
 * How many gateway processes share the store, so that each can enforce its part of a limit when the store is away.
 * After an outage that emptied the store the count is low for at most one beat.
 */
export class Census implements AsyncDisposable {
  readonly #store: Pick<RedisStore, 'run' | 'keys'>
  readonly #beatMs: number
  readonly #deadAfterMs: number
  readonly #clock: Clock
  readonly #process = randomToken()
  readonly #key: string
  readonly #closing = new AbortController()
  readonly #beating: Promise<void>
  #size = 0

  constructor({ store, beatMs = 10_000, deadAfterMs = 3 * beatMs, clock = systemClock }: CensusOptions) {
    this.#store = store
    this.#beatMs = beatMs
    this.#deadAfterMs = deadAfterMs
    this.#clock = clock
    this.#key = store.keys.everyShard('census')[0]!
    this.#beating = this.#keepBeating()
  }

  /** Processes alive when last counted, this one included; 0 = never known. Kept through outages. */
  get size(): number {
    return this.#size
  }

  /** Says that this process lives and counts. It happens by itself; an outage changes nothing. */
  async beat(): Promise<void> {
    const args = [this.#process, this.#deadAfterMs]
    try {
      this.#size = (await this.#store.run('census', (redis) => censusScript(redis, [this.#key], args))) as number
    } catch {
      // The last count stands.
    }
  }

  async #keepBeating(): Promise<void> {
    do await this.beat()
    while (await this.#sleeps(this.#size === 0 ? Math.min(FIRST_BEAT_MS, this.#beatMs) : this.#beatMs))
  }

  /** False when it is being closed. */
  #sleeps(ms: number): Promise<boolean> {
    return this.#clock.sleep(ms, this.#closing.signal).then(
      () => true,
      () => false,
    )
  }

  /** Takes itself out of the count, so that the others' shares grow at once. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return this.#beating
    this.#closing.abort()
    await this.#beating
    await this.#store.run('census', (redis) => redis.zrem(this.#key, this.#process)).catch(() => {}) // then it is missed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
