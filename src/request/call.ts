import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'

/** One request as the walk sees it: what was asked, when, and the ways to learn its body and its end. */
export interface Call {
  readonly id: string
  readonly method: string
  /** The request target in normal form for matching, keying and caching: no dot segments, no needless escapes. */
  readonly path: string
  /** The query without its '?', as received. */
  readonly query: string
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly peer: Peer
  /** Wall time of arrival, ms since the epoch: the request's one clock reading. */
  readonly startedAt: number
  /** The whole body within server.bodyLimit. Throws Refusal BODY_TOO_LARGE or BODY_TIMEOUT; rejects when the client leaves. */
  body(): Promise<Buffer>
  /** Aborts when the client leaves before its answer was written. Made on first use. */
  readonly signal: AbortSignal
  /** Aborts when the gateway shuts down: an answer that is only held back is given as it is. */
  readonly closing: AbortSignal
  /** Where the time went, for Server-Timing and the log; ms. */
  readonly timings: Timings
  /** Filled in as the walk learns it, so that a refusal half way is still logged with its tenant. */
  readonly facts: Facts
  /** The request itself, for the passthrough alone. */
  readonly incoming: IncomingMessage
}

export interface Peer {
  address: string
  scheme: 'http' | 'https'
}

export interface Timings {
  auth: number
  cache: number
  /** For its turn, in the order of its tenant and of all. */
  queue: number
  upstream: number
}

export interface Facts {
  tenant: string | null
  principal: string | null
  route: string
  key: string | undefined
}
