import { randomBytes } from 'node:crypto'

/** Where bodies lie that are too large for a job's record. */
export type SpillTier = 'file' | 'redis'

/** One body on its way. One call at a time. */
export interface SpillSink {
  write(bytes: Buffer): Promise<void>
  /** From now on it can be read, until nowAt + ttlMs. */
  end(life: { nowAt: number; ttlMs: number }): Promise<void>
  /** Removes what was begun, as well as it can: what it leaves goes within PART_MS. Never rejects. */
  abort(): Promise<void>
}

/** Every adapter passes spill.contract.ts. Those in a store may throw StoreUnavailable. */
export interface Spill {
  readonly tier: SpillTier
  /** `name` is one of spillName's, and new. */
  create(tenant: string, name: string): Promise<SpillSink>
  /** The bytes in pieces; null when they are gone or were never there. Holds nothing open until it is iterated. */
  read(tenant: string, name: string): Promise<AsyncIterable<Buffer> | null>
  /** Done when there is nothing, too. */
  drop(tenant: string, name: string): Promise<void>
  /** Removes some of what expired or was left half-written, and says how many. More may be left. */
  sweep(nowAt: number): Promise<number>
}

/** A half-written body nobody added to for this long is left over from a process that died. */
export const PART_MS = 3_600_000

/** Letters, digits, '_' and '-' only: a name becomes part of a path and of a key. */
const NAME = /^[\w-]{1,160}$/

export const isSpillName = (name: string): boolean => NAME.test(name)

/** Unlike any other, so that a stale worker never touches what a newer one writes. */
export function spillName(id: string, fence: number): string {
  const name = `${id}-${fence}-${randomBytes(9).toString('base64url')}`
  if (!isSpillName(name)) throw new RangeError(`${JSON.stringify(id)} cannot be part of a name`)
  return name
}
