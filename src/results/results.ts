import type { Clock } from '../kernel/clock.ts'
import type { FlatHeaders } from '../kernel/exchange.ts'
import type { Ledger } from './ledger.ts'
import { Shelf } from './shelf.ts'
import { type Spill, spillName } from './spill.ts'
import type { Stored } from './stored.ts'
import { ResultWriter } from './writer.ts'

/** A body that was there ended early: it expired, was evicted or damaged while it was read, or a power cut took its end. */
export class ResultLost extends Error {
  override readonly name = 'ResultLost'

  constructor() {
    super('the stored result is not whole')
  }
}

export interface ResultsOptions {
  spill: Spill
  ledger: Ledger
  clock: Clock
  /** Coded bytes up to which a body stays with its job's record; asked anew for every result. */
  spillAboveBytes: number | (() => number)
}

export interface WriterFor {
  tenant: string
  /** Of the job: letters, digits, '_' and '-'. */
  id: string
  /** Of the attempt, so that a stale worker's body is never taken for a newer one's. */
  fence: number
  status: number
  /** Names in lower case, without content-length and content-encoding: they are of one delivery. */
  headers: FlatHeaders
  /** From the end of the body on. */
  ttlMs: number
  /** Of the body in no coding. */
  maxBytes: number
}

export interface ResultStats {
  /** Coded bytes that went into jobs' records and into the spill, and bodies that sweeps removed. */
  readonly inlineBytes: number
  readonly spilledBytes: number
  readonly swept: number
}

/** What a result costs beside its body. Keeps tiny ones from being free. */
export const RECORD_BYTES = 512

/** Where the results of jobs live: small ones as a value for the job's record, large ones in the spill. */
export class Results {
  readonly #options: ResultsOptions
  readonly #stats = { inlineBytes: 0, spilledBytes: 0, swept: 0 }

  constructor(options: ResultsOptions) {
    this.#options = options
  }

  /** Whoever opens one ends or aborts it. */
  writer({ tenant, id, fence, status, headers, ttlMs, maxBytes }: WriterFor): ResultWriter {
    const { spill, clock, spillAboveBytes: above } = this.#options
    const spillAboveBytes = typeof above === 'number' ? above : above()
    return new ResultWriter({
      head: { status, headers, contentType: contentTypeOf(headers) },
      maxBytes,
      ttlMs,
      clock,
      shelf: new Shelf({ spill, tenant, name: spillName(id, fence), spillAboveBytes }),
      onStored: (stored) => this.#count(stored),
    })
  }

  /**
   * Counts a result towards what its tenant may have stored, once it is its job's. Returns the jobs whose results must go;
   * the caller drops them. Its own alone: it is larger than all its tenant may have.
   */
  account(tenant: string, id: string, stored: Stored, maxTenantBytes: number): Promise<string[]> {
    const bytes = stored.bytes + RECORD_BYTES
    return this.#options.ledger.add(tenant, id, bytes, stored.expiresAt, maxTenantBytes)
  }

  /** The body as it is stored (`decoded` takes its coding off), or null when it is gone. Iterating may throw ResultLost. */
  async read(tenant: string, stored: Stored): Promise<AsyncIterable<Buffer> | null> {
    const { spill, clock } = this.#options
    if (stored.expiresAt <= clock.now()) return null
    if (stored.tier === 'inline') return once(stored.body)
    const pieces = stored.tier === spill.tier ? await spill.read(tenant, stored.name) : null
    return pieces && whole(pieces, stored.bytes)
  }

  /** The body first: if that fails, it still counts. */
  async drop(tenant: string, id: string, stored: Stored): Promise<void> {
    const { spill, ledger } = this.#options
    if (stored.tier === spill.tier) await spill.drop(tenant, stored.name)
    await ledger.remove(tenant, id)
  }

  /** To be called every now and then, by any process. Returns how many bodies it removed. */
  async sweep(): Promise<number> {
    const swept = await this.#options.spill.sweep(this.#options.clock.now())
    this.#stats.swept += swept
    return swept
  }

  stats(): ResultStats {
    return { ...this.#stats }
  }

  #count({ tier, bytes }: Stored): void {
    this.#stats[tier === 'inline' ? 'inlineBytes' : 'spilledBytes'] += bytes
  }
}

function contentTypeOf(headers: FlatHeaders): string | undefined {
  const at = headers.findIndex((name, index) => index % 2 === 0 && name === 'content-type')
  return at < 0 ? undefined : headers[at + 1]
}

async function* once(body: Buffer): AsyncGenerator<Buffer> {
  yield body
}

async function* whole(pieces: AsyncIterable<Buffer>, bytes: number): AsyncGenerator<Buffer> {
  let seen = 0
  for await (const piece of pieces) {
    seen += piece.length
    yield piece
  }
  if (seen !== bytes) throw new ResultLost()
}
