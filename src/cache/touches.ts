import type { Place } from './entry.ts'

/** One second of reads of very many different entries; past it the least-recently-used order is a little less exact. */
const MAX_TOUCHES = 4_096

/** What one command carries at most. */
const MAX_PER_COMMAND = 100

/** Reads since the last flush, by tenant: one note in a while instead of a write per read. */
export class Touches {
  #byTenant = new Map<string, Set<string>>()
  #count = 0

  /** False when there is no room. */
  add({ tenant, key }: Place): boolean {
    const keys = this.#byTenant.get(tenant)
    if (keys?.has(key)) return true
    if (this.#count >= MAX_TOUCHES) return false
    if (keys) keys.add(key)
    else this.#byTenant.set(tenant, new Set([key]))
    this.#count++
    return true
  }

  get isEmpty(): boolean {
    return this.#count === 0
  }

  /** Everything noted, in groups of one tenant and at most 100 keys, and starts anew. */
  take(): { tenant: string; keys: string[] }[] {
    const groups: { tenant: string; keys: string[] }[] = []
    for (const [tenant, noted] of this.#byTenant) {
      const keys = [...noted]
      for (let i = 0; i < keys.length; i += MAX_PER_COMMAND) {
        groups.push({ tenant, keys: keys.slice(i, i + MAX_PER_COMMAND) })
      }
    }
    this.#byTenant = new Map()
    this.#count = 0
    return groups
  }
}
