import { StoreUnavailable } from '../kernel/errors.ts'
import type { RedisStore } from '../kernel/redis/store.ts'
import { Pile } from './pile.ts'
import { isSpillName, PART_MS, type Spill, type SpillSink } from './spill.ts'

type SpillStore = Pick<RedisStore, 'runBulk' | 'keys'>

/** Small enough to pass within the store's deadline (50 ms by default) on a slow line, and to hold up nobody else's for long. */
const PIECE_BYTES = 256 * 1024

/**
 * A body is a list of pieces under one key of its tenant's slot: in one value it would have to be whole in this process's
 * memory, and pass in one call. While it is being written its key ends PART_MS after the last piece. Borrows its store.
 */
export class RedisSpill implements Spill {
  readonly tier = 'redis'
  readonly #store: SpillStore

  constructor({ store }: { store: SpillStore }) {
    this.#store = store
  }

  async create(tenant: string, name: string): Promise<SpillSink> {
    if (!isSpillName(name)) throw new RangeError(`${JSON.stringify(name)} is no name of a result`)
    return new RedisSink(this.#store, this.#key(tenant, name))
  }

  async read(tenant: string, name: string): Promise<AsyncIterable<Buffer> | null> {
    if (!isSpillName(name)) return null
    const key = this.#key(tenant, name)
    const first = await this.#piece(key, 0)
    return first && this.#pieces(key, first)
  }

  async drop(tenant: string, name: string): Promise<void> {
    if (isSpillName(name)) await this.#store.runBulk('result.drop', (redis) => redis.unlink(this.#key(tenant, name)))
  }

  /** Nothing to do: keys expire by themselves. */
  async sweep(): Promise<number> {
    return 0
  }

  async *#pieces(key: string, first: Buffer): AsyncGenerator<Buffer> {
    let piece: Buffer | null = first
    for (let next = 1; piece; next++) {
      yield piece
      piece = await this.#piece(key, next)
    }
  }

  #piece(key: string, index: number): Promise<Buffer | null> {
    return this.#store.runBulk('result.read', (redis) => redis.lindexBuffer(key, index))
  }

  #key(tenant: string, name: string): string {
    return this.#store.keys.of(tenant, 'result', tenant, name)
  }
}

class RedisSink implements SpillSink {
  readonly #store: SpillStore
  readonly #key: string
  readonly #piece = new Pile(PIECE_BYTES)
  #pieces = 0

  constructor(store: SpillStore, key: string) {
    this.#store = store
    this.#key = key
  }

  async write(bytes: Buffer): Promise<void> {
    for (let rest = bytes; rest.length > 0; ) {
      if (this.#piece.isFull) await this.#push(PART_MS)
      rest = this.#piece.add(rest)
    }
  }

  async end({ ttlMs }: { ttlMs: number }): Promise<void> {
    await this.#push(ttlMs)
  }

  async abort(): Promise<void> {
    await this.#store.runBulk('result.drop', (redis) => redis.unlink(this.#key)).catch(() => {}) // then it expires
  }

  /** With its expiry in one transaction, so that no piece can be left without one. */
  async #push(lifeMs: number): Promise<void> {
    const piece = this.#piece.take()
    const replies = await this.#store.runBulk('result.write', (redis) =>
      redis
        .multi()
        .rpush(this.#key, piece)
        .pexpire(this.#key, Math.max(1, Math.ceil(lifeMs)))
        .exec(),
    )
    const [error, length] = replies?.[0] ?? []
    if (length === ++this.#pieces) return
    throw new StoreUnavailable('result.write', error ?? new Error('pieces written before are gone'))
  }
}
