import { StoreUnavailable } from '../kernel/errors.ts'
import type { House } from './house.ts'

/** Limits of a changed config, for what is in the line and under way already. */
export class LiveLimits {
  readonly #house: House
  #applying: Promise<void> = Promise.resolve()

  constructor(house: House) {
    this.#house = house
  }

  /** One after the other; the last config is what remains. Never rejects. */
  apply(): Promise<void> {
    this.#applying = this.#applying.then(() => this.#apply())
    return this.#applying
  }

  async #apply(): Promise<void> {
    const { scheduler, slots, log } = this.#house
    try {
      let cursor = '0'
      do {
        const page = await scheduler.tenants(cursor)
        for (const name of page.tenants) {
          const limits = this.#house.policy.tenant(name)?.queue
          if (!limits) continue // no longer in the config: what it has left goes on as it was
          const given = await scheduler.configure(name, limits, slots.wish(0))
          if (given.held) slots.held()
        }
        cursor = page.cursor
      } while (cursor !== '0')
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      log.warn({ err: error }, 'changed limits reach what waits already with its next request')
    }
  }
}
