import { createZstdCompress } from 'node:zlib'
import { ZSTD } from '../kernel/coding.ts'

type Done = (error?: Error | null) => void

/**
 * One body in zstd, piece by piece: what goes in and what comes out are calls, so whoever makes them has the pace in hand.
 * One call at a time. About 1 MiB of memory while it lives.
 */
export class ZstdStream {
  readonly coding = 'zstd'
  readonly #zstd = createZstdCompress(ZSTD)
  #ready: Buffer[] = []

  constructor() {
    this.#zstd.on('data', (coded: Buffer) => this.#ready.push(coded))
  }

  /** What is ready by now, which may be nothing. */
  async write(raw: Buffer): Promise<Buffer> {
    await this.#turn((done) => this.#zstd.write(raw, done))
    return this.#take()
  }

  async end(): Promise<Buffer> {
    await this.#turn((done) => this.#zstd.once('end', done).end())
    return this.#take()
  }

  /** Frees its memory at once. Does nothing once it has ended. */
  abort(): void {
    this.#zstd.destroy()
  }

  #turn(begin: (done: Done) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#zstd.once('error', reject)
      begin((error) => {
        this.#zstd.off('error', reject)
        if (error) reject(error)
        else resolve()
      })
    })
  }

  #take(): Buffer {
    const coded = Buffer.concat(this.#ready)
    this.#ready = []
    return coded
  }
}
