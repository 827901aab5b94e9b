/** Where gathered bytes go; keeps or drops them, but does not throw. */
export type Sink = (bytes: Buffer) => void

const PIECE_BYTES = 64 * 1024

/**
 * Gathers log lines into large pieces. The lines of a busy gateway are a tenth of its work when each is a write of its
 * own, and sonic-boom measures all that it holds at every string it is given.
 */
export class Lines {
  readonly #sink: Sink
  #piece = Buffer.allocUnsafe(PIECE_BYTES)
  #used = 0

  constructor(sink: Sink) {
    this.#sink = sink
  }

  write(line: string): void {
    // A character is at most three bytes of UTF-8 (a surrogate pair, two characters, is four).
    const mostBytes = line.length * 3
    if (this.#used + mostBytes > PIECE_BYTES) this.flush()
    if (mostBytes > PIECE_BYTES) this.#sink(Buffer.from(line))
    else this.#used += this.#piece.write(line, this.#used)
  }

  flush(): void {
    if (this.#used === 0) return
    this.#sink(this.#piece.subarray(0, this.#used))
    this.#piece = Buffer.allocUnsafe(PIECE_BYTES) // the old one is still being written
    this.#used = 0
  }
}
