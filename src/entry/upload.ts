import type { IncomingMessage } from 'node:http'
import { Refusal } from '../kernel/errors.ts'
import { formatDuration } from '../kernel/units.ts'

/**
 * Watches a body that streams through: a client that sends nothing for `idleMs`, while we would read, is let go with
 * BODY_TIMEOUT. How long the whole takes is nobody's business: bodies that stream may be of any size.
 */
export function watchUpload(req: IncomingMessage, idleMs: number): { signal: AbortSignal } & Disposable {
  const idle = new AbortController()
  if (
    req.complete ||
    ((req.headers['content-length'] ?? '0') === '0' && req.headers['transfer-encoding'] === undefined)
  ) {
    return { signal: idle.signal, [Symbol.dispose]: () => {} }
  }
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
