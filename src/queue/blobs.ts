/** What belongs to a job but does not stand beside it: what a worker needs to run it, and what came of it. */
export const BLOB_KINDS = ['payload', 'result'] as const
export type BlobKind = (typeof BLOB_KINDS)[number]

/** Where the bytes of jobs lie. As in Redis no bytes are no blob. */
export interface Blobs {
  put(kind: BlobKind, id: string, bytes: Buffer): void
  get(kind: BlobKind, id: string): Buffer | null
  has(kind: BlobKind, id: string): boolean
  delete(kind: BlobKind, id: string): void
}

export class MemoryBlobs implements Blobs {
  readonly #kept = { payload: new Map<string, Buffer>(), result: new Map<string, Buffer>() }

  put(kind: BlobKind, id: string, bytes: Buffer): void {
    if (bytes.length > 0) this.#kept[kind].set(id, bytes)
  }

  get(kind: BlobKind, id: string): Buffer | null {
    return this.#kept[kind].get(id) ?? null
  }

  has(kind: BlobKind, id: string): boolean {
    return this.#kept[kind].has(id)
  }

  delete(kind: BlobKind, id: string): void {
    this.#kept[kind].delete(id)
  }
}
