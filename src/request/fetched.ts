import type { FlatHeaders } from '../kernel/exchange.ts'
import type { Reply } from '../upstream/upstream.ts'

/** What came back from the upstream. */
export type Fetched =
  | {
      kind: 'whole'
      status: number
      /** As received: what may be stored is decided by the cache's rules. */
      received: FlatHeaders
      /** As they are delivered when the answer is not stored. */
      headers: FlatHeaders
      cookies: FlatHeaders
      /** In no coding. */
      body: Buffer
      computeMs: number
      /** False when only the end of the connection ended the body: nobody knows that it is whole. */
      framed: boolean
    }
  /** Larger than the route keeps: what was read of it so far, and the rest still to come. */
  | { kind: 'large'; reply: Reply; read: Buffer[] }
