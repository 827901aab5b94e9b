import type { Entry } from '../cache/entry.ts'
import type { Answer, FlatHeaders } from '../kernel/exchange.ts'
import type { Grant, Limit } from '../limits/limiter.ts'
import type { Outcome } from '../telemetry/metrics.ts'
import type { HeaderRules } from '../upstream/headers.ts'
import type { Reply, Upstream } from '../upstream/upstream.ts'

/** Said to the client of its rate: the limit that was asked, and what it answered. */
export interface RateNotice {
  limit: Limit
  grant: Grant
}

interface Common {
  outcome: Outcome
  /** The value of Cache-Status behind the cache's name: 'hit; ttl=271' (RFC 9211). */
  cacheStatus: string
  rate?: RateNotice | undefined
}

/** How a request is to be answered. The walk decides it; entry/ writes it to the socket. */
export type Delivery =
  | (Common & {
      kind: 'entry'
      entry: Entry
      ageMs: number
      /** Set-Cookie lines of the upstream: for the client whose request went upstream, and nobody else. */
      cookies?: FlatHeaders | undefined
    })
  | (Common & { kind: 'answer'; answer: Answer })
  /** An answer too large to hold: what was read of it, and the rest as it comes. */
  | (Common & { kind: 'stream'; reply: Reply; read: Buffer[] })
  | (Common & {
      kind: 'proxy'
      upstream: Upstream
      tenant: string | null
      headers: FlatHeaders
      /** For the trailers, which come after the headers were made. */
      rules: HeaderRules
      timeoutMs: number
      connectTimeoutMs: number
    })
