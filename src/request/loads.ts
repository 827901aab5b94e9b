import { StoreUnavailable } from '../kernel/errors.ts'
import { CLASSES, type TenantLoad } from '../queue/scheduler.ts'
import type { House } from './house.ts'

/** Tenants asked about at a look; with more at work than that, those of the first pages are told. */
const MAX_TENANTS = 1_000
/** Gauges that are looked at together share one asking, ms. */
const FRESH_MS = 100

/** Tells the metrics what waits and what runs, over all processes, when they are looked at. */
export class LoadGauges {
  readonly #house: House
  #measured: { at: number; done: Promise<void> } | undefined

  constructor(house: House) {
    this.#house = house
  }

  measure(): Promise<void> {
    const nowAt = this.#house.clock.now()
    if (!this.#measured || nowAt - this.#measured.at > FRESH_MS)
      this.#measured = { at: nowAt, done: this.#measure(nowAt) }
    return this.#measured.done
  }

  async #measure(nowAt: number): Promise<void> {
    try {
      const tenants: string[] = []
      let cursor = '0'
      do {
        const page = await this.#house.scheduler.tenants(cursor)
        tenants.push(...page.tenants)
        cursor = page.cursor
      } while (cursor !== '0' && tenants.length < MAX_TENANTS)
      this.#tell(await this.#house.scheduler.loads(tenants), nowAt)
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error // the last ones stand
    }
  }

  #tell(loads: readonly TenantLoad[], nowAt: number): void {
    const { queueDepth, queueOldest, running } = this.#house.metrics
    for (const gauge of [queueDepth, queueOldest, running]) gauge.reset()
    for (const load of loads) {
      const tenant = this.#house.tenantLabels.of(load.tenant === '-' ? null : load.tenant)
      for (const [at, name] of CLASSES.entries()) queueDepth.inc({ tenant, class: name }, load.depth[at])
      running.inc({ tenant }, load.running)
      if (load.oldestAt !== null) queueOldest.set({ tenant }, Math.max(0, nowAt - load.oldestAt) / 1_000)
    }
  }
}
