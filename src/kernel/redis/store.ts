import CircuitBreaker from 'opossum'
import type { Bus } from '../bus.ts'
import { StoreUnavailable } from '../errors.ts'
import { RedisBus } from './bus.ts'
import { connectCommands, connectSubscriber, keySpaceOf, type RedisClient, type RedisPlace } from './connection.ts'
import type { KeySpace } from './keys.ts'

export interface StoreEvents {
  /** Once per change of state, with the reason when it went down. */
  onState?: (up: boolean, reason: string) => void
  /** Every guarded call, for `sluice_store_duration_seconds{op}`. */
  onCall?: (op: string, seconds: number, failed: boolean) => void
}

type Work<T> = (redis: RedisClient) => Promise<T>

/** How often the store is asked whether it lives, so that its state is known without traffic. */
const HEARTBEAT_MS = 1_000

/**
 * The shared Redis, with a deadline on every call and a breaker around it, so that a dead or stopped server costs
 * the first few requests `commandTimeoutMs` and the others nothing (DESIGN 8).
 * Two connections: bodies must not stand before leases in one line (facts/caching.md, head of line: 3.3 ms for 1.8).
 */
export class RedisStore {
  readonly keys: KeySpace
  readonly bus: Bus
  readonly #control: RedisClient
  readonly #bulk: RedisClient
  readonly #bus: RedisBus
  readonly #breaker: CircuitBreaker<[() => Promise<unknown>], unknown>
  readonly #events: StoreEvents
  readonly #heartbeat: NodeJS.Timeout
  readonly #beatKey: string
  #up = false
  #closed = false

  constructor(place: RedisPlace, events: StoreEvents = {}) {
    this.keys = keySpaceOf(place)
    this.#beatKey = this.keys.everyShard('beat')[0]!
    this.#events = events
    this.#control = connectCommands(place)
    this.#bulk = connectCommands(place)
    this.#bus = new RedisBus(connectSubscriber(place), this.#control, this.keys.channel)
    this.bus = this.#bus
    this.#breaker = new CircuitBreaker((work: () => Promise<unknown>) => work(), {
      timeout: false, // ioredis' commandTimeout ends each command
      volumeThreshold: 5,
      errorThresholdPercentage: 50,
      rollingCountTimeout: 5_000,
      rollingCountBuckets: 5,
      resetTimeout: HEARTBEAT_MS,
      enableSnapshots: false,
      errorFilter: isAnswer,
    })
    this.#heartbeat = setInterval(() => void this.#beat(), HEARTBEAT_MS)
    this.#heartbeat.unref()
    this.#control.on('ready', () => void this.#beat())
    this.#control.on('close', () => this.#setUp(false, 'connection closed'))
  }

  get up(): boolean {
    return this.#up
  }

  /** For leases, limits, generations: small commands. Throws StoreUnavailable. */
  run<T>(op: string, work: Work<T>): Promise<T> {
    return this.#guard(op, () => work(this.#control))
  }

  /** For bodies. Throws StoreUnavailable. */
  runBulk<T>(op: string, work: Work<T>): Promise<T> {
    return this.#guard(op, () => work(this.#bulk))
  }

  async #guard<T>(op: string, work: () => Promise<T>): Promise<T> {
    const startedAt = performance.now()
    try {
      const result = (await this.#breaker.fire(work)) as T
      this.#events.onCall?.(op, (performance.now() - startedAt) / 1_000, false)
      return result
    } catch (cause) {
      this.#events.onCall?.(op, (performance.now() - startedAt) / 1_000, true)
      throw new StoreUnavailable(op, cause)
    }
  }

  async #beat(): Promise<void> {
    if (this.#closed) return
    try {
      // A write: a replica that answers but takes nothing would otherwise be up at each beat and down at each request.
      await this.run('ping', (redis) => redis.set(this.#beatKey, '1', 'PX', 10 * HEARTBEAT_MS))
      this.#setUp(true, 'answers')
    } catch (error) {
      this.#setUp(false, String((error as Error).cause ?? error))
    }
  }

  #setUp(up: boolean, reason: string): void {
    if (up === this.#up || this.#closed) return
    this.#up = up
    this.#events.onState?.(up, reason)
  }

  /** Waits until the store answered once, at most `ms`; the gateway starts without it all the same. */
  async firstContact(ms: number): Promise<boolean> {
    const untilAt = performance.now() + ms
    while (!this.#up && performance.now() < untilAt) {
      await this.#beat()
      if (!this.#up) await new Promise((resolve) => setTimeout(resolve, 25))
    }
    return this.#up
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#heartbeat)
    this.#breaker.shutdown()
    this.#bus.close()
    this.#control.disconnect()
    this.#bulk.disconnect()
  }
}

/** An error reply about one key (a wrong type, a script's fault) says nothing about the server's health. */
function isAnswer(error: Error): boolean {
  return (
    error.name === 'ReplyError' &&
    !/^(READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|OOM|MISCONF|NOREPLICAS|TRYAGAIN)/.test(error.message)
  )
}
