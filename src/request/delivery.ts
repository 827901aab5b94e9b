import type { Entry } from '../cache/entry.ts'
import type { Answer, FlatHeaders } from '../kernel/exchange.ts'
import type { Grant, Limit } from '../limits/limiter.ts'
import type { Outcome } from '../telemetry/metrics.ts'
import type { HeaderRules } from '../upstream/headers.ts'
import type { Reply, Upstream } from '../upstream/upstream.ts'
import type { JobDocument } from './document.ts'

/** Said to the client of its rate: the limit that was asked, and what it answered. */
export interface RateNotice {
  limit: Limit
  grant: Grant
}

interface Common {
  outcome: Outcome
  rate?: RateNotice | undefined
}

interface Cached {
  /** The value of Cache-Status behind the cache's name: 'hit; ttl=271' (RFC 9211). */
  cacheStatus: string
}

/** The cache has no part in what is said of jobs. */
export type Said = Common & Partial<Cached>

/** How a request is to be answered. The walk decides it; entry/ writes it to the socket. */
export type Delivery =
  | (Common &
      Cached & {
        kind: 'entry'
        entry: Entry
        ageMs: number
        /** Set-Cookie lines of the upstream: for the client whose request went upstream, and nobody else. */
        cookies?: FlatHeaders | undefined
      })
  | (Said & { kind: 'answer'; answer: Answer })
  /** An answer too large to hold: what was read of it, and the rest as it comes. */
  | (Common & Cached & { kind: 'stream'; reply: Reply; read: Buffer[] })
  | (Common &
      Cached & {
        kind: 'proxy'
        upstream: Upstream
        tenant: string | null
        headers: FlatHeaders
        /** For the trailers, which come after the headers were made. */
        rules: HeaderRules
        timeoutMs: number
        connectTimeoutMs: number
      })
  | (Said & StoredResult)
  | (Said & JobEvents)

/** A job's result as it is read. A refusal before its first byte becomes a problem document, a later one breaks it off. */
export interface StoredResult {
  kind: 'result'
  status: number
  headers: FlatHeaders
  /** Of the body in the coding that the headers say. */
  bytes: number
  /** Holds nothing open until it is iterated. */
  body: AsyncGenerator<Buffer>
}

/** What happens to a job, as it happens. Ends with the job, or as soon as the signal aborts. */
export interface JobEvents {
  kind: 'events'
  /** Holds nothing until it is iterated. */
  events: (signal: AbortSignal) => AsyncIterable<JobEvent>
}

export type JobEvent =
  /** The first: from now on nothing is missed. */
  | { kind: 'open' }
  | { kind: 'change'; revision: number; document: JobDocument }
  /** Nothing has happened, for a while. */
  | { kind: 'heartbeat' }
