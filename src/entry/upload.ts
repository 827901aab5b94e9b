import type { IncomingMessage } from 'node:http'
import { Refusal } from '../kernel/errors.ts'
import { formatDuration } from '../kernel/units.ts'
import { announcesBody } from './protocol.ts'

export interface Upload extends Disposable {
  /** Absent where there is no body to watch. */
  readonly signal?: AbortSignal
}

const NOTHING: Upload = { [Symbol.dispose]: () => {} }

/**
 * Watches a body that streams through: a client that sends nothing for `idleMs`, while we would read, is let go with
 * BODY_TIMEOUT. How long the whole takes is nobody's business: bodies that stream may be of any size.
 */
export function watchUpload(req: IncomingMessage, idleMs: number): Upload {
  if (req.complete || !announcesBody(req)) return NOTHING
  const idle = new AbortController()
  let bytesBefore = -1
  const timer = setInterval(() => {
    const { bytesRead } = req.socket
    // Paused: it is the upstream that does not take more.
    if (!req.complete && !req.isPaused() && bytesRead === bytesBefore) {
      idle.abort(
        new Refusal('BODY_TIMEOUT', { detail: `nothing came for ${formatDuration(idleMs)} (server.bodyTimeout)` }),
      )
    }
    bytesBefore = bytesRead
  }, idleMs / 2)
  return { signal: idle.signal, [Symbol.dispose]: () => clearInterval(timer) }
}
