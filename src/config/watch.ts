/**
 * Tells when a config file has other content than before. The directory is watched, not the file: editors save by
 * renaming a new file over the old one, and Kubernetes swaps the symbolic link of a directory beside it. Either way only
 * the content counts. Looking every few seconds finds what a file system does not report (network mounts, links that
 * lead elsewhere).
 */
import { type FSWatcher, readFileSync, watch } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { sha256 } from '../kernel/digest.ts'

export interface ConfigWatch extends Disposable {
  /** Idempotent; nothing is called afterwards. */
  close(): void
}

export interface WatchOptions {
  /** One save is several events; they are taken for one when they come closer together than this. */
  debounceMs?: number
  pollMs?: number
}

export function watchConfig(file: string, onChange: () => void, options: WatchOptions = {}): ConfigWatch {
  const { debounceMs = 200, pollMs = 5_000 } = options
  let closed = false
  let seen = digestNow(file)
  let pending: NodeJS.Timeout | undefined

  const look = async () => {
    const digest = await digestOf(file)
    if (closed || digest === undefined || digest === seen) return
    seen = digest
    onChange()
  }
  const soon = () => {
    if (closed) return
    clearTimeout(pending)
    pending = setTimeout(() => void look(), debounceMs).unref()
  }
  const watcher = watchDirectory(dirname(file), soon)
  const poll = setInterval(() => void look(), pollMs).unref()
  const close = () => {
    closed = true
    clearTimeout(pending)
    clearInterval(poll)
    watcher?.close()
  }
  return { close, [Symbol.dispose]: close }
}

/** Undefined where the system has no watches left or to offer: then the poll alone finds changes. */
function watchDirectory(directory: string, onEvent: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(directory, { persistent: false }, onEvent)
    return watcher.on('error', () => watcher.close())
  } catch {
    return undefined
  }
}

/** Undefined while there is no readable file, as for an instant during a rename. */
const digestOf = (file: string): Promise<string | undefined> => readFile(file).then(sha256, () => undefined)

function digestNow(file: string): string | undefined {
  try {
    return sha256(readFileSync(file))
  } catch {
    return undefined
  }
}
