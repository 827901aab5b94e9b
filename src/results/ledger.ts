/**
 * What each tenant's results take, so that one tenant's cannot fill the store. Results leave it when they expire; a
 * tenant that is over its bound loses its oldest ones. Every adapter passes ledger.contract.ts; those in a store may
 * throw StoreUnavailable.
 */
export interface Ledger {
  /**
   * Enters a result, in place of an older one of this id. Returns the ids of the tenant's oldest ones that must go so that
   * the rest fits; they are struck out already, and whoever asked removes them. At most MAX_GONE at once: the next call
   * goes on. A result that alone is larger than maxBytes is not entered, and its own id is all that is returned.
   */
  add(tenant: string, id: string, bytes: number, expiresAt: number, maxBytes: number): Promise<string[]>
  remove(tenant: string, id: string): Promise<void>
  /** Bytes of those that have not expired. */
  total(tenant: string): Promise<number>
}

export const MAX_GONE = 100

/** 0 would be free, and in the script it means something else. */
export function assertBytes(bytes: number): void {
  if (!(Number.isSafeInteger(bytes) && bytes >= 1)) throw new RangeError(`a result has whole bytes, not ${bytes}`)
}
