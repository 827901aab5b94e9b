import type { Bus } from '../bus.ts'
import { randomToken } from '../digest.ts'
import { StoreUnavailable } from '../errors.ts'
import { RedisBus } from './bus.ts'
import {
  connectBlocking,
  connectCommands,
  connectSubscriber,
  keySpaceOf,
  type RedisClient,
  type RedisPlace,
} from './connection.ts'
import type { KeySpace } from './keys.ts'

export interface StoreEvents {
  /** Once per change of state, with the reason when it went down. */
  onState?: (up: boolean, reason: string) => void
  /** Every guarded call, for `sluice_store_duration_seconds{op}`. */
  onCall?: (op: string, seconds: number, failed: boolean) => void
}

/** Calls that failed one after the other until the store counts as down: a slow moment is not an outage. */
const MAX_FAILURES_IN_ROW = 5

/** How long a call that waits patiently may take, ms. */
const PATIENCE_MS = 2_000

/** The first look after a store that stopped answering. */
const FIRST_PROBE_MS = 25

const DOWN = new Error('the store is down')

type Work<T> = (redis: RedisClient) => Promise<T>

/** How often the store is asked whether it lives, so that its state is known without traffic. */
const HEARTBEAT_MS = 2_000

/**
 * The shared Redis, with a deadline on every call and a breaker around it, so that a dead or stopped server costs
 * the first few requests `commandTimeoutMs` and the others nothing (DESIGN 8).
 * Several connections: bodies must not stand before leases in one line (facts/caching.md, head of line: 3.3 ms for 1.8),
 * and what is waited for patiently before neither.
 */
export class RedisStore {
  readonly keys: KeySpace
  readonly bus: Bus
  /** This process's name in the fleet: what is published on `<channel>:<process>` only it hears. */
  readonly process = randomToken().slice(0, 12)
  readonly #control: RedisClient
  readonly #bulk: RedisClient
  readonly #patient: RedisClient
  readonly #connections: readonly RedisClient[]
  readonly #place: RedisPlace
  readonly #bus: RedisBus
  readonly #events: StoreEvents
  readonly #heartbeat: NodeJS.Timeout
  readonly #beatKey: string
  /** Nothing is asked of a store that is down, but for the heartbeat. */
  #up = false
  #failuresInRow = 0
  #closed = false

  constructor(place: RedisPlace, events: StoreEvents = {}) {
    this.keys = keySpaceOf(place)
    this.#beatKey = this.keys.everyShard('beat')[0]!
    this.#events = events
    this.#control = connectCommands(place)
    this.#bulk = connectCommands(place)
    this.#patient = connectCommands({ ...place, commandTimeoutMs: Math.max(PATIENCE_MS, place.commandTimeoutMs) })
    this.#place = place
    const own = `${this.keys.channel}:${this.process}`
    this.#bus = new RedisBus(connectSubscriber(place), this.#control, this.keys.channel, own)
    this.bus = this.#bus
    this.#heartbeat = setInterval(() => void this.#beatOrReconnect(), HEARTBEAT_MS)
    this.#heartbeat.unref()
    this.#connections = [this.#control, this.#bulk, this.#patient]
    for (const connection of this.#connections) connection.on('ready', () => void this.#beat())
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

  /**
   * For what is better waited for than done twice: claims, ends of jobs, submissions. A slow answer is not one that
   * never comes, and a claim whose answer nobody hears costs its job a lease. Throws StoreUnavailable.
   */
  runPatiently<T>(op: string, work: Work<T>): Promise<T> {
    return this.#guard(op, () => work(this.#patient))
  }

  /** A connection of its own for commands that block; whoever opened it closes it. */
  openBlocking(): RedisClient {
    return connectBlocking(this.#place)
  }

  async #guard<T>(op: string, work: () => Promise<T>): Promise<T> {
    if (!this.#up) throw new StoreUnavailable(op, DOWN)
    const startedAt = performance.now()
    try {
      const result = await work()
      this.#failuresInRow = 0
      this.#events.onCall?.(op, (performance.now() - startedAt) / 1_000, false)
      return result
    } catch (cause) {
      this.#events.onCall?.(op, (performance.now() - startedAt) / 1_000, true)
      if (!isAnswer(cause as Error)) this.#note(cause as Error)
      throw new StoreUnavailable(op, cause)
    }
  }

  /** The breaker: so many failures without a success between them, and nobody pays for another until a beat got through. */
  #note(cause: Error): void {
    this.#failuresInRow++
    if (this.#failuresInRow < MAX_FAILURES_IN_ROW || !this.#up) return
    this.#setUp(false, String(cause))
    this.#probe(FIRST_PROBE_MS)
  }

  /** One late beat is no outage either; the next ones follow closely, for they may be the only calls there are. */
  #noteBeat(cause: Error): void {
    this.#note(cause)
    if (this.#up) setTimeout(() => void this.#beat(), FIRST_PROBE_MS).unref()
  }

  /** A server that stalled for a moment is asked again soon, one that stays away less and less often. */
  #probe(inMs: number): void {
    if (inMs >= HEARTBEAT_MS) return // the heartbeat goes on anyway
    setTimeout(async () => {
      await this.#beat()
      if (!this.#up) this.#probe(2 * inMs)
    }, inMs).unref()
  }

  async #beat(): Promise<void> {
    if (this.#closed) return
    try {
      // A write: a replica that answers but takes nothing would otherwise be up at each beat and down at each request.
      await this.#control.set(this.#beatKey, '1', 'PX', 10 * HEARTBEAT_MS)
      this.#failuresInRow = 0
      // Whoever hears that it is up uses all of them.
      if (this.#up || this.#connections.every(({ status }) => status === 'ready')) this.#setUp(true, 'answers')
    } catch (error) {
      this.#noteBeat(error as Error)
    }
  }

  /** Whoever stays silent on open connections may be a master of yesterday, or nobody: the way to the store is looked for anew. */
  async #beatOrReconnect(): Promise<void> {
    const wasDown = !this.#up
    await this.#beat()
    if (!wasDown || this.#up || this.#closed) return
    for (const connection of this.#connections) if (connection.status === 'ready') connection.disconnect(true)
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
    this.#bus.close()
    for (const connection of this.#connections) connection.disconnect()
  }
}

/** An error reply about one key (a wrong type, a script's fault, a slot on its way to another node) says nothing about the server's health. */
function isAnswer({ name, message }: Error): boolean {
  if (message.startsWith('Too many Cluster redirections')) return true
  return name === 'ReplyError' && !/^(READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|OOM|MISCONF|NOREPLICAS)/.test(message)
}
