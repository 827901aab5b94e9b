import type { FlatHeaders } from '../kernel/exchange.ts'
import type { PassEnd } from './verdict.ts'

/** One request to be passed through. */
export interface Pass {
  /** A URL of the upstream, from its guard. */
  target: URL
  /** Path and query behind the target's base path; by default what the client asked for, byte for byte. */
  path?: string
  /** Exactly what upstreamHeaders() made; only `host`, `connection` and framing are added. */
  headers: FlatHeaders
  host?: string
  /** The longest silence of the upstream, before its answer and in the middle of it. */
  timeoutMs: number
  connectTimeoutMs?: number
  signal?: AbortSignal
  /** Which of the client's trailers go on (headers.ts, upstreamTrailers); none by default. */
  trailers?: (rawTrailers: readonly string[]) => [string, string][]
  /**
   * The request came by the server's `checkContinue`: the client waits for "100 Continue" before it sends its body, and
   * gets it when the upstream says so. On an ordinary `request` event node has already said it.
   */
  awaitsContinue?: boolean
  /** The head of the answer, before it is written; headers may be changed in place. */
  onHead?: (status: number, headers: FlatHeaders) => void
  /** Called once, however it ends, before the promise settles. */
  onDone?: (end: PassEnd) => void
}
