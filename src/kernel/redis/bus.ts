import type { Bus } from '../bus.ts'
import { MemoryBus } from '../bus.ts'
import type { RedisClient } from './connection.ts'

/** How often the subscription proves that it is alive; a half-open TCP connection shows in no other way. */
const PROBE_MS = 5_000

/**
 * The fleet's one channel over Redis pub/sub. Scripts publish on it too (a fill wakes its followers in the same call).
 * Delivery is at most once; a broken or silent subscription is reported as a gap as soon as it is noticed.
 */
export class RedisBus implements Bus {
  readonly #subscriber: RedisClient
  readonly #publisher: RedisClient
  readonly #channel: string
  readonly #own: string
  readonly #local = new MemoryBus()
  readonly #probe: NodeJS.Timeout
  #subscribed = false

  /** @param own a channel that only this process hears, for what concerns nobody else */
  constructor(subscriber: RedisClient, publisher: RedisClient, channel: string, own: string) {
    this.#subscriber = subscriber
    this.#publisher = publisher
    this.#channel = channel
    this.#own = own
    subscriber.on('message', (_channel: string, message: string) => this.#local.publish(message))
    subscriber.on('close', () => this.#lost())
    subscriber.on('ready', () => void this.#subscribe())
    this.#probe = setInterval(() => void this.#check(), PROBE_MS)
    this.#probe.unref()
  }

  publish(message: string): void {
    this.#publisher.publish(this.#channel, message).catch(() => {
      // At most once, by contract: listeners bound what a lost message costs, and the store's guard reports the outage.
    })
  }

  listen(onMessage: (message: string) => void): () => void {
    return this.#local.listen(onMessage)
  }

  onGap(onGap: () => void): () => void {
    return this.#local.onGap(onGap)
  }

  async #subscribe(): Promise<void> {
    try {
      await this.#subscriber.subscribe(this.#channel, this.#own)
      if (!this.#subscribed) this.#local.gap()
      this.#subscribed = true
    } catch {
      this.#lost() // ioredis reconnects and 'ready' comes again
    }
  }

  #lost(): void {
    if (this.#subscribed) this.#local.gap()
    this.#subscribed = false
  }

  async #check(): Promise<void> {
    if (!this.#subscribed) return
    const late = new Promise<never>((_, reject) => setTimeout(() => reject(new Error('silent')), PROBE_MS / 2).unref())
    try {
      await Promise.race([this.#subscriber.ping(), late])
    } catch {
      this.#lost()
      if ('disconnect' in this.#subscriber) this.#subscriber.disconnect(true)
    }
  }

  close(): void {
    clearInterval(this.#probe)
    this.#subscriber.disconnect()
  }
}
