import { randomToken } from '../kernel/digest.ts'
import type { Fleet, Lease } from './fleet.ts'

/** For one process, where Flights has already brought together everyone who asks the same: always leads. */
export class MemoryFleet implements Fleet {
  async depart(): Promise<Lease> {
    return { leads: true, token: randomToken(), lost: new AbortController().signal, land: async () => {} }
  }
}
