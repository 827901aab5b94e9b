import { StoreUnavailable } from '../kernel/errors.ts'
import { decodeStored, type Stored } from '../results/stored.ts'
import type { House } from './house.ts'

/** Counts a job's result towards its tenant's bound; the tenant's oldest go where it takes too much. Never rejects. */
export async function keepWithin(
  tenant: string,
  id: string,
  stored: Stored,
  maxBytes: number,
  house: House,
): Promise<void> {
  try {
    const gone = await house.results.account(tenant, id, stored, maxBytes)
    for (const job of gone) await dropResult(tenant, job, await house.scheduler.dropResult(tenant, job), house)
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error
    house.log.warn({ err: error, tenant }, 'a result could not be counted; it ends by its ttl')
  }
}

/** What a job's record named elsewhere: a file, or a key. Never rejects: what stays ends by its ttl. */
export async function dropResult(tenant: string, id: string, framed: Buffer | null, house: House): Promise<void> {
  const stored = framed && decodeStored(framed)
  if (!stored) return
  await house.results.drop(tenant, id, stored).catch((error) => {
    house.log.warn({ err: error, tenant, id }, 'a result could not be dropped; it ends by its ttl')
  })
}

/** After a restart of the embedded store: counts the results that another life of this process left. Never rejects. */
export async function recount(house: House): Promise<void> {
  const { jobs } = await house.scheduler.jobs('0')
  for (const { tenant, id } of jobs) {
    const framed = await house.scheduler.result(tenant, id)
    const stored = framed && decodeStored(framed)
    const maxBytes = house.policy.tenant(tenant)?.maxResultsBytes
    if (stored && maxBytes !== undefined) await keepWithin(tenant, id, stored, maxBytes, house)
    await new Promise((resolve) => setImmediate(resolve)) // requests go first
  }
}
