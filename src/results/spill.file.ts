import { type FileHandle, mkdir, open, opendir, rename, rm, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256 } from '../kernel/digest.ts'
import { isSpillName, PART_MS, type Spill, type SpillSink } from './spill.ts'

const PIECE_BYTES = 64 * 1024
const PART = '.part'
/** Looked at together while sweeping. */
const STEP_FILES = 32
/** One sweep removes no more; the next goes on. */
const MAX_SWEPT = 1_000

/** Nothing else in the directory is ever touched. */
const FILE = /^[\w-]{22}\.[\w-]{1,160}(\.part)?$/

/**
 * Files in `dir`/results, `TENANT.NAME` with the tenant as a digest. A file's mtime is the instant at which it expires, so
 * that any process can tell; only `.part` files, which are being written, have the usual one. Written, then renamed, but
 * not synced: a result that a power cut takes is found short by whoever reads it.
 */
export class FileSpill implements Spill {
  readonly tier = 'file'
  readonly #dir: string

  constructor({ dir }: { dir: string }) {
    this.#dir = join(dir, 'results')
  }

  async create(tenant: string, name: string): Promise<SpillSink> {
    if (!isSpillName(name)) throw new RangeError(`${JSON.stringify(name)} is no name of a result`)
    await mkdir(this.#dir, { recursive: true, mode: 0o700 })
    const path = this.#path(tenant, name)
    return new FileSink(path, await open(path + PART, 'wx', 0o600))
  }

  async read(tenant: string, name: string): Promise<AsyncIterable<Buffer> | null> {
    if (!isSpillName(name)) return null
    const path = this.#path(tenant, name)
    return (await unlessGone(stat(path))) ? pieces(path) : null
  }

  async drop(tenant: string, name: string): Promise<void> {
    if (isSpillName(name)) await rm(this.#path(tenant, name), { force: true })
  }

  async sweep(nowAt: number): Promise<number> {
    let swept = 0
    for await (const step of steps(this.#dir)) {
      const removed = await Promise.all(step.map((file) => removeIfDue(join(this.#dir, file), nowAt)))
      swept += removed.filter(Boolean).length
      if (swept >= MAX_SWEPT) break
    }
    return swept
  }

  #path(tenant: string, name: string): string {
    return join(this.#dir, `${sha256(tenant).slice(0, 22)}.${name}`)
  }
}

class FileSink implements SpillSink {
  readonly #path: string
  readonly #file: FileHandle

  constructor(path: string, file: FileHandle) {
    this.#path = path
    this.#file = file
  }

  async write(bytes: Buffer): Promise<void> {
    await this.#file.appendFile(bytes)
  }

  /** The mtime before the name: a file under its own name always says when it ends. */
  async end({ nowAt, ttlMs }: { nowAt: number; ttlMs: number }): Promise<void> {
    const endsAtSeconds = (nowAt + ttlMs) / 1_000
    await this.#file.utimes(endsAtSeconds, endsAtSeconds)
    await this.#file.close()
    await rename(this.#path + PART, this.#path)
  }

  async abort(): Promise<void> {
    await this.#file.close().catch(() => {})
    await rm(this.#path + PART, { force: true }).catch(() => {}) // then a sweep finds it
  }
}

/** Opened when it is iterated, so that a reader who never does leaves nothing open. */
async function* pieces(path: string): AsyncGenerator<Buffer> {
  const file = await unlessGone(open(path))
  if (!file) return
  try {
    for (;;) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafeSlow(PIECE_BYTES), 0, PIECE_BYTES)
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await file.close()
  }
}

/** The files of this room in the directory, some at a time: it may hold many. */
async function* steps(dir: string): AsyncGenerator<string[]> {
  const entries = await unlessGone(opendir(dir))
  let step: string[] = []
  for await (const { name } of entries ?? []) {
    if (FILE.test(name)) step.push(name)
    if (step.length < STEP_FILES) continue
    yield step
    step = []
  }
  yield step
}

async function removeIfDue(path: string, nowAt: number): Promise<boolean> {
  const found = await unlessGone(stat(path))
  if (!found || found.mtimeMs + (path.endsWith(PART) ? PART_MS : 0) > nowAt) return false
  return (await unlessGone(unlink(path).then(() => true))) ?? false
}

/** Another process may remove a file at any instant. */
async function unlessGone<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
