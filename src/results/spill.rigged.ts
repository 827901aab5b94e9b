import type { Spill, SpillSink } from './spill.ts'

type Step = 'create' | 'write' | 'end'

/** For tests: a spill in memory that fails, or waits, where it is told to. */
export class RiggedSpill implements Spill {
  readonly tier = 'file'
  readonly bodies = new Map<string, Buffer>()
  /** Bytes it was asked to take so far. */
  offeredBytes = 0
  created = 0
  /** Bodies begun and neither ended nor aborted. */
  left = 0
  fails: Step | undefined
  #held: { step: Step; arrived: PromiseWithResolvers<void>; gate: PromiseWithResolvers<void> } | undefined

  /** From now on this step waits. Resolves when it is reached. */
  hold(step: Step): Promise<void> {
    this.#held = { step, arrived: Promise.withResolvers(), gate: Promise.withResolvers() }
    return this.#held.arrived.promise
  }

  letGo(): void {
    this.#held?.gate.resolve()
  }

  async create(_tenant: string, name: string): Promise<SpillSink> {
    await this.#pass('create')
    this.created++
    this.left++
    const chunks: Buffer[] = []
    let isOpen = true
    const close = () => {
      if (isOpen) this.left--
      isOpen = false
    }
    return {
      write: async (bytes) => {
        this.offeredBytes += bytes.length
        await this.#pass('write')
        chunks.push(Buffer.from(bytes))
      },
      end: async () => {
        await this.#pass('end')
        this.bodies.set(name, Buffer.concat(chunks))
        close()
      },
      abort: async () => close(),
    }
  }

  async read(_tenant: string, name: string): Promise<AsyncIterable<Buffer> | null> {
    const body = this.bodies.get(name)
    return body
      ? (async function* () {
          yield body
        })()
      : null
  }

  async drop(_tenant: string, name: string): Promise<void> {
    this.bodies.delete(name)
  }

  async sweep(): Promise<number> {
    return 0
  }

  async #pass(step: Step): Promise<void> {
    if (this.#held?.step === step) {
      this.#held.arrived.resolve()
      await this.#held.gate.promise
    }
    if (this.fails === step) throw new Error(`${step} failed`)
  }
}
