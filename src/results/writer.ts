import type { Clock } from '../kernel/clock.ts'
import { encode, isCompressed, SYNC_BYTES } from '../kernel/coding.ts'
import type { Coding, FlatHeaders } from '../kernel/exchange.ts'
import { Pile } from './pile.ts'
import type { Shelf } from './shelf.ts'
import type { Stored } from './stored.ts'
import { ZstdStream } from './zstd-stream.ts'

/** A body passed what its tenant's results may have, counted in no coding. */
export class ResultTooLarge extends Error {
  override readonly name = 'ResultTooLarge'
  readonly maxBytes: number

  constructor(maxBytes: number) {
    super(`the result is larger than ${maxBytes} bytes`)
    this.maxBytes = maxBytes
  }
}

export interface WriterOptions {
  head: { status: number; headers: FlatHeaders; contentType: string | undefined }
  /** Of the body in no coding. */
  maxBytes: number
  /** From its end on. */
  ttlMs: number
  clock: Clock
  shelf: Shelf
  onStored?: (stored: Stored) => void
}

interface Coder {
  readonly coding: Coding
  write(raw: Buffer): Buffer | Promise<Buffer>
  end(): Buffer | Promise<Buffer>
  abort(): void
}

const NOTHING = Buffer.alloc(0)
const plain: Coder = { coding: 'identity', write: (raw) => raw, end: () => NOTHING, abort: () => {} }

/**
 * Takes one result's body as it streams, in no coding, and stores it in zstd: smaller and quicker than gzip at every size
 * (facts/caching.md). A body of up to SYNC_BYTES is coded at once at its end, a larger one as it comes. Holds at most
 * SYNC_BYTES of it, a coder, and spillAboveBytes of what is coded.
 *
 * Calls wait for each other. One that fails leaves nothing behind before it rejects, and all later ones reject alike.
 */
export class ResultWriter {
  readonly #options: WriterOptions
  readonly #raw = new Pile(SYNC_BYTES)
  /** Undefined while the body may still be a small one. */
  #coder: Coder | undefined
  #rawBytes = 0
  #last: Promise<unknown> = Promise.resolve()
  /** Why nothing more is taken. */
  #over: Error | undefined

  constructor(options: WriterOptions) {
    this.#options = options
  }

  /** Resolves when more may come. Throws ResultTooLarge at the first byte too many. */
  write(chunk: Buffer): Promise<void> {
    return this.#inTurn(() => this.#write(chunk))
  }

  end(): Promise<Stored> {
    return this.#inTurn(() => this.#end())
  }

  /** Removes what was begun. Does nothing once it has ended. Never rejects. */
  abort(): Promise<void> {
    this.#over ??= new Error('the writing of this result was aborted')
    const clearing = this.#last.then(() => this.#clear())
    this.#last = clearing
    return clearing
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => this.#whole(work))
    this.#last = turn.catch(() => {})
    return turn
  }

  async #whole<T>(work: () => Promise<T>): Promise<T> {
    try {
      if (this.#over) throw this.#over
      return await work()
    } catch (error) {
      this.#over ??= error as Error
      await this.#clear()
      throw error
    }
  }

  async #clear(): Promise<void> {
    this.#coder?.abort()
    await this.#options.shelf.abort()
  }

  async #write(chunk: Buffer): Promise<void> {
    this.#rawBytes += chunk.length
    if (this.#rawBytes > this.#options.maxBytes) throw new ResultTooLarge(this.#options.maxBytes)
    for (let rest = chunk; rest.length > 0; ) {
      if (this.#raw.isFull) await this.#flow()
      rest = this.#raw.add(rest)
    }
  }

  /** More than a small body: its bytes are coded as they come. */
  async #flow(): Promise<void> {
    this.#coder ??= isCompressed(this.#options.head.contentType) ? plain : new ZstdStream()
    await this.#options.shelf.put(await this.#coder.write(this.#raw.take()))
  }

  async #end(): Promise<Stored> {
    const coding = this.#coder ? await this.#endFlow(this.#coder) : await this.#endSmall()
    const { head, ttlMs, clock, shelf, onStored } = this.#options
    const nowAt = clock.now()
    const shelved = await shelf.end({ nowAt, ttlMs })
    this.#over = new Error('this result has ended')
    const { status, headers } = head
    const sizes = { rawBytes: this.#rawBytes, bytes: shelf.bytes }
    const stored: Stored = { status, headers, coding, ...sizes, expiresAt: nowAt + ttlMs, ...shelved }
    onStored?.(stored)
    return stored
  }

  async #endFlow(coder: Coder): Promise<Coding> {
    await this.#flow()
    await this.#options.shelf.put(await coder.end())
    return coder.coding
  }

  async #endSmall(): Promise<Coding> {
    const { coding, body } = await encode(this.#raw.take(), 'zstd', this.#options.head.contentType)
    await this.#options.shelf.put(body)
    return coding
  }
}
