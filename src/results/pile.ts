const FIRST_BYTES = 4096

/** Bytes that gather in one buffer of their own. It doubles as they come and never grows past `maxBytes`. */
export class Pile {
  readonly #maxBytes: number
  #buffer = Buffer.alloc(0)
  #length = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get isFull(): boolean {
    return this.#length === this.#maxBytes
  }

  /** Copies what there is room for and returns the rest. */
  add(bytes: Buffer): Buffer {
    const taken = Math.min(bytes.length, this.#maxBytes - this.#length)
    this.#grow(this.#length + taken)
    this.#length += bytes.copy(this.#buffer, this.#length, 0, taken)
    return bytes.subarray(taken)
  }

  /** What has gathered; good until the next `add`, which begins anew in the same buffer. */
  take(): Buffer {
    const taken = this.#buffer.subarray(0, this.#length)
    this.#length = 0
    return taken
  }

  #grow(bytes: number): void {
    if (bytes <= this.#buffer.length) return
    const larger = Buffer.allocUnsafeSlow(
      Math.min(this.#maxBytes, Math.max(FIRST_BYTES, 2 * this.#buffer.length, bytes)),
    )
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
  }
}
