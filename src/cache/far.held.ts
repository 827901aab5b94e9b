import { StoreUnavailable } from '../kernel/errors.ts'
import { MemoryFar } from './far.memory.ts'
import type { Far } from './far.ts'

/** For tests: a far tier whose answers the test holds back, as a slow network does, or that is away. */
export class HeldFar extends MemoryFar {
  reads = 0
  isAway = false
  #gate: Promise<void> = Promise.resolve()

  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#gate = promise
    return resolve
  }

  async #answered<T>(answer: Promise<T>): Promise<T> {
    const result = await answer
    await this.#gate
    if (this.isAway) throw new StoreUnavailable('test')
    return result
  }

  override read(...args: Parameters<Far['read']>): ReturnType<Far['read']> {
    this.reads++
    return this.#answered(super.read(...args))
  }
  override begin(...args: Parameters<Far['begin']>): ReturnType<Far['begin']> {
    return this.#answered(super.begin(...args))
  }
  override fill(...args: Parameters<Far['fill']>): ReturnType<Far['fill']> {
    return this.#answered(super.fill(...args))
  }
  override purge(...args: Parameters<Far['purge']>): ReturnType<Far['purge']> {
    return this.#answered(super.purge(...args))
  }
  override rearm(...args: Parameters<Far['rearm']>): ReturnType<Far['rearm']> {
    return this.#answered(super.rearm(...args))
  }
}
