/**
 * The few shapes that every room speaks: who calls, what is asked of an upstream, and what came back.
 */

/** A verified caller. Everything here was proven by a credential; nothing came from a plain header. */
export interface Caller {
  readonly tenant: string
  /** Who inside the tenant; null where the token names nobody. */
  readonly principal: string | null
  /** SHA-256 (base64url) of the claims that change what rows are seen; '' when the issuer names none. */
  readonly scopeDigest: string
  /** The issuer's name in the config; '' for an anonymous caller. */
  readonly issuer: string
  /** When the credential ends, ms since the epoch; null if never. */
  readonly expiresAt: number | null
}

/** Header names and values by turns, as `writeHead` takes them: ['content-type', 'application/json', ...]. */
export type FlatHeaders = string[]

/** Codings a stored body may have. */
export type Coding = 'identity' | 'gzip' | 'zstd'

/** A whole answer in memory. */
export interface Answer {
  readonly status: number
  /** End-to-end headers in lower case, without content-length, content-encoding and connection headers. */
  readonly headers: FlatHeaders
  readonly coding: Coding
  readonly body: Buffer
}
