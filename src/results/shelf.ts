import { Pile } from './pile.ts'
import type { Spill, SpillSink, SpillTier } from './spill.ts'

export interface ShelfOptions {
  spill: Spill
  tenant: string
  /** What the body is called in the spill, if it gets there. */
  name: string
  /** Up to this it stays in memory. */
  spillAboveBytes: number
}

export type Shelved = { tier: 'inline'; body: Buffer } | { tier: SpillTier; name: string }

/** Where the bytes of one result go as they come: into memory while they are few, into the spill as soon as they are not. */
export class Shelf {
  readonly #options: ShelfOptions
  #kept: Pile
  #sink: SpillSink | undefined
  #bytes = 0

  constructor(options: ShelfOptions) {
    this.#options = options
    this.#kept = new Pile(options.spillAboveBytes)
  }

  get bytes(): number {
    return this.#bytes
  }

  async put(bytes: Buffer): Promise<void> {
    this.#bytes += bytes.length
    const rest = this.#sink ? bytes : this.#kept.add(bytes)
    if (rest.length === 0) return
    this.#sink ??= await this.#spill()
    await this.#sink.write(rest)
  }

  async #spill(): Promise<SpillSink> {
    const { spill, tenant, name } = this.#options
    this.#sink = await spill.create(tenant, name) // known before it is written to, or a failure would leave it behind
    await this.#sink.write(this.#kept.take())
    this.#kept = new Pile(0)
    return this.#sink
  }

  async end(life: { nowAt: number; ttlMs: number }): Promise<Shelved> {
    if (!this.#sink) return { tier: 'inline', body: this.#kept.take() }
    await this.#sink.end(life)
    this.#sink = undefined
    return { tier: this.#options.spill.tier, name: this.#options.name }
  }

  /** Leaves nothing behind. Does nothing once it has ended. */
  async abort(): Promise<void> {
    await this.#sink?.abort()
    this.#sink = undefined
  }
}
