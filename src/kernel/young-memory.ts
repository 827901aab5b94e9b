import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * Streams leave a 64 KiB buffer behind with every read. They lie outside V8's heap, so its young generation fills slowly
 * and its collection comes late: 2 GiB passed through once raised the process by 100 MiB. Collecting the young
 * generation after every few MiB costs about a millisecond, keeps the rise under 30 MiB, and was faster besides
 * (2.2 s for 3.5 s), because memory that is still in the processor's caches is used again.
 */
const COLLECT_EVERY_BYTES = 4 * 1024 * 1024

let streamedBytes = 0
let collect: (() => void) | undefined

/** To be told of every piece that was streamed through and not kept. */
export function noteStreamed(bytes: number): void {
  streamedBytes += bytes
  if (streamedBytes < COLLECT_EVERY_BYTES) return
  streamedBytes = 0
  collect ??= youngCollection()
  collect()
}

/** V8 shows its collector only to contexts that are made while this flag is set. */
function youngCollection(): () => void {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as (options: { type: 'minor' }) => void
  setFlagsFromString('--no-expose-gc')
  return () => gc({ type: 'minor' })
}
