import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite'
import { StoreUnavailable } from '../kernel/errors.ts'
import { BLOB_KINDS, type BlobKind, type Blobs } from './blobs.ts'
import { type DatabasePlace, openDatabase } from './database.sqlite.ts'
import { type JobEntry, jobEntry } from './entry.ts'
import type { Class, JobStatus } from './scheduler.ts'

const FIXED = [
  ...(['id', 'tenant', 'principal', 'upstream', 'route', 'class', 'number', 'keepsPayload', 'keepMs'] as const),
  ...(['idempotencyKey', 'fingerprint', 'submittedAt'] as const),
]
const CHANGING = [
  ...(['status', 'isLined', 'isLeased', 'linedAt', 'queueMs', 'deadlineAt', 'startedAt', 'finishedAt'] as const),
  ...(['fence', 'attempt', 'lost', 'error', 'revision'] as const),
]
const COLUMNS = [...FIXED, ...CHANGING]
type Row = Record<(typeof COLUMNS)[number], SQLOutputValue>

const PUT_JOB = `INSERT INTO job (${COLUMNS.join()}) VALUES (${COLUMNS.map(() => '?').join()})
  ON CONFLICT (id) DO UPDATE SET ${CHANGING.map((name) => `${name} = excluded.${name}`).join()}`

/** Jobs read at a time while opening. */
const PAGE = 1_000

/**
 * The file of jobs. What changes is noted first, and `commit` writes all of it in one transaction: either everything is
 * durable or nothing, and then it stays noted. Bytes are held only until they are written.
 */
export class Journal implements Blobs {
  readonly #database: DatabaseSync
  readonly #begin: StatementSync
  readonly #commit: StatementSync
  readonly #putJob: StatementSync
  readonly #deleteJob: StatementSync
  readonly #blobs: Readonly<Record<BlobKind, BlobTable>>
  /** Changed since the last commit; null: forgotten. */
  readonly #jobs = new Map<string, JobEntry | null>()

  /** Throws DatabaseUnusable. */
  constructor(place: DatabasePlace) {
    this.#database = openDatabase(place)
    this.#begin = this.#database.prepare('BEGIN IMMEDIATE')
    this.#commit = this.#database.prepare('COMMIT')
    this.#putJob = this.#database.prepare(PUT_JOB)
    this.#deleteJob = this.#database.prepare('DELETE FROM job WHERE id = ?')
    this.#blobs = {
      payload: new BlobTable(this.#database, 'payload'),
      result: new BlobTable(this.#database, 'result'),
    }
  }

  get isClean(): boolean {
    return this.#jobs.size === 0 && BLOB_KINDS.every((kind) => this.#blobs[kind].isClean)
  }

  note(id: string, job: JobEntry | null): void {
    this.#jobs.set(id, job)
  }

  put(kind: BlobKind, id: string, bytes: Buffer): void {
    if (bytes.length > 0) this.#blobs[kind].note(id, bytes)
  }

  delete(kind: BlobKind, id: string): void {
    this.#blobs[kind].note(id, null)
  }

  get(kind: BlobKind, id: string): Buffer | null {
    return this.#blobs[kind].get(id)
  }

  has(kind: BlobKind, id: string): boolean {
    return this.#blobs[kind].has(id)
  }

  /** Writes what was noted. Throws what SQLite throws. */
  commit(): void {
    if (this.isClean) return
    this.#begin.run()
    try {
      this.#write()
      this.#commit.run()
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK') // some failures have rolled it back already
      throw error
    }
    this.#jobs.clear()
    for (const kind of BLOB_KINDS) this.#blobs[kind].written()
  }

  #write(): void {
    for (const [id, job] of this.#jobs) {
      if (job) this.#putJob.run(...valuesOf(job))
      else this.#deleteJob.run(id)
    }
    for (const kind of BLOB_KINDS) this.#blobs[kind].write()
  }

  /** Every job that is kept. */
  *jobs(): Generator<JobEntry> {
    const page = this.#database.prepare(`SELECT * FROM job WHERE id > ? ORDER BY id LIMIT ${PAGE}`)
    for (let after = ''; ; ) {
      const rows = page.all(after) as Row[]
      yield* rows.map(jobOf)
      if (rows.length < PAGE) return
      after = rows.at(-1)!.id as string
    }
  }

  /** SQLite moves the log into the database as it closes; one that stays, on a full disk, is read at the next start. */
  close(): void {
    if (this.#database.isOpen) this.#database.close()
  }
}

/** The payloads, or the results. */
class BlobTable {
  readonly #put: StatementSync
  readonly #delete: StatementSync
  readonly #get: StatementSync
  readonly #has: StatementSync
  /** Not yet written; null: to be deleted. */
  readonly #noted = new Map<string, Buffer | null>()

  constructor(database: DatabaseSync, table: BlobKind) {
    this.#put = database.prepare(`INSERT OR REPLACE INTO ${table} VALUES (?, ?)`)
    this.#delete = database.prepare(`DELETE FROM ${table} WHERE id = ?`)
    this.#get = database.prepare(`SELECT bytes FROM ${table} WHERE id = ?`)
    this.#has = database.prepare(`SELECT 1 FROM ${table} WHERE id = ?`)
  }

  get isClean(): boolean {
    return this.#noted.size === 0
  }

  note(id: string, bytes: Buffer | null): void {
    this.#noted.set(id, bytes)
  }

  get(id: string): Buffer | null {
    const noted = this.#noted.get(id)
    if (noted !== undefined) return noted
    const bytes = reading(() => this.#get.get(id)?.bytes as Uint8Array | undefined)
    return bytes ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) : null
  }

  has(id: string): boolean {
    const noted = this.#noted.get(id)
    return noted === undefined ? reading(() => this.#has.get(id) !== undefined) : noted !== null
  }

  write(): void {
    for (const [id, bytes] of this.#noted) {
      if (bytes) this.#put.run(id, bytes)
      else this.#delete.run(id)
    }
  }

  written(): void {
    this.#noted.clear()
  }
}

function reading<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw new StoreUnavailable('queue.read', cause)
  }
}

/** In the order of COLUMNS. */
function valuesOf(job: JobEntry): SQLInputValue[] {
  const { id, tenant, principal, upstream, route, class: cls, keepsPayload, keepMs, idempotency, queueMs } = job.order
  const { number, submittedAt, status, isLined, isLeased, linedAt, deadlineAt, startedAt, finishedAt } = job
  return [
    ...[id, tenant, principal, upstream, route, cls, number, Number(keepsPayload), keepMs],
    ...[idempotency?.key ?? null, idempotency?.fingerprint ?? null, submittedAt],
    ...[status, Number(isLined), Number(isLeased), linedAt, queueMs, deadlineAt, startedAt, finishedAt],
    ...[job.fence, job.attempt, job.lost, job.error, job.revision],
  ]
}

function jobOf(row: Row): JobEntry {
  const text = (name: keyof Row) => row[name] as string
  const count = (name: keyof Row) => row[name] as number
  const instant = (name: keyof Row) => row[name] as number | null
  const names = { id: text('id'), tenant: text('tenant'), principal: text('principal'), upstream: text('upstream') }
  const key = row.idempotencyKey as string | null
  const order = {
    ...{ ...names, route: text('route'), class: text('class') as Class },
    ...{ keepsPayload: count('keepsPayload') === 1, keepMs: count('keepMs'), queueMs: count('queueMs') },
    idempotency: key === null ? null : { key, fingerprint: text('fingerprint') },
  }
  const state = {
    ...{ status: text('status') as JobStatus, isLined: count('isLined') === 1, isLeased: count('isLeased') === 1 },
    ...{ linedAt: count('linedAt'), deadlineAt: count('deadlineAt'), revision: count('revision') },
    ...{ startedAt: instant('startedAt'), finishedAt: instant('finishedAt'), error: row.error as string | null },
    ...{ fence: count('fence'), attempt: count('attempt'), lost: count('lost') },
  }
  return { ...jobEntry(order, count('number'), count('submittedAt')), ...state }
}
