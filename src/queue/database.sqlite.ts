import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** Raised with every change of SCHEMA; how to get there from an older one stands in `migrate`. */
const VERSION = 1

/**
 * Columns are not STRICT on purpose: a value that one of them would not take is a commit that can never succeed.
 * Bytes have tables of their own, so that a change of a job's state does not write them again.
 */
const SCHEMA = `
  CREATE TABLE job (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, principal TEXT NOT NULL, upstream TEXT NOT NULL, route TEXT NOT NULL,
    class TEXT NOT NULL, number INTEGER NOT NULL, keepsPayload INTEGER NOT NULL, keepMs INTEGER NOT NULL,
    idempotencyKey TEXT, fingerprint TEXT, submittedAt INTEGER NOT NULL,
    status TEXT NOT NULL, isLined INTEGER NOT NULL, isLeased INTEGER NOT NULL, linedAt INTEGER NOT NULL,
    queueMs INTEGER NOT NULL, deadlineAt INTEGER NOT NULL, startedAt INTEGER, finishedAt INTEGER,
    fence INTEGER NOT NULL, attempt INTEGER NOT NULL, lost INTEGER NOT NULL, error TEXT, revision INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE payload (id TEXT PRIMARY KEY, bytes BLOB NOT NULL);
  CREATE TABLE result (id TEXT PRIMARY KEY, bytes BLOB NOT NULL);
  PRAGMA user_version = ${VERSION};
`

/** How long a start waits for the process before it to let go, ms. */
const LOCK_MS = 1_000

/** What the write-ahead log is cut back to after a burst, bytes. */
const LOG_BYTES = 64 * 1024 * 1024

const SQLITE_BUSY = 5

export interface DatabasePlace {
  /** Path of the database; its directory is made where it is missing. */
  file: string
  /** full: what was committed survives a power cut. normal: it survives the end of the process, however that comes. */
  synchronous: 'full' | 'normal'
}

/** The file cannot be used: said at start, to the operator. */
export class DatabaseUnusable extends Error {
  override readonly name = 'DatabaseUnusable'
}

/** Opens the file of jobs for this process alone, as long as it lives. Throws DatabaseUnusable. */
export function openDatabase({ file, synchronous }: DatabasePlace): DatabaseSync {
  let database: DatabaseSync | undefined
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    closeSync(openSync(file, 'a', 0o600)) // the log beside it takes on its mode
    database = new DatabaseSync(file, { timeout: LOCK_MS })
    prepare(database, file, synchronous)
    return database
  } catch (cause) {
    if (database?.isOpen) database.close()
    throw cause instanceof DatabaseUnusable ? cause : unusable(file, cause)
  }
}

/**
 * A locking mode of EXCLUSIVE keeps the file's lock for as long as the connection lives, whatever becomes of the process,
 * and needs no shared memory beside the log, so that the directory may lie anywhere.
 */
function prepare(database: DatabaseSync, file: string, synchronous: DatabasePlace['synchronous']): void {
  database.exec('PRAGMA locking_mode = EXCLUSIVE')
  database.exec('BEGIN EXCLUSIVE')
  const version = database.prepare('PRAGMA user_version').get()?.user_version as number
  if (version > VERSION) throw new DatabaseUnusable(newer(file, version))
  if (version === 0) database.exec(SCHEMA)
  database.exec('COMMIT')
  database.exec(
    `PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; PRAGMA journal_size_limit = ${LOG_BYTES}`,
  )
}

const newer = (file: string, version: number): string =>
  `the jobs in ${file} were written by a newer Sluice (schema ${version}; this one knows ${VERSION}): ` +
  'start that version again, or move the file away to begin without its jobs'

/** Says why, and what to do about it. */
export function unusable(file: string, cause: unknown): DatabaseUnusable {
  const isBusy = ((cause as { errcode?: number }).errcode ?? 0) % 256 === SQLITE_BUSY
  if (!isBusy)
    return new DatabaseUnusable(`the jobs in ${file} cannot be opened: ${(cause as Error).message}`, { cause })
  const what =
    `another process has the directory ${dirname(file)} open: the embedded store serves one process. Stop that one, ` +
    'give this one a `store.dir` of its own, or let both share `store.kind: redis`'
  return new DatabaseUnusable(what, { cause })
}
