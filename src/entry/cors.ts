import type { IncomingMessage } from 'node:http'
import type { FlatHeaders } from '../kernel/exchange.ts'

export interface CorsOptions {
  /** Exact origins, or '*'. */
  origins: readonly string[]
  credentials: boolean
  maxAgeMs: number
}

/** A preflight carries no token by design (Fetch standard), so it is told apart before anything asks for one. */
export const isPreflight = (req: IncomingMessage): boolean =>
  req.method === 'OPTIONS' && req.headers['access-control-request-method'] !== undefined

/**
 * Cross-origin answers when `server.cors` is set: then the gateway alone says Access-Control-*, per request, so that one
 * cached answer serves every allowed origin.
 */
export class Cors {
  readonly #origins: ReadonlySet<string>
  readonly #any: boolean
  readonly #credentials: boolean
  readonly #maxAgeSeconds: number

  constructor({ origins, credentials, maxAgeMs }: CorsOptions) {
    this.#origins = new Set(origins)
    this.#any = this.#origins.has('*')
    this.#credentials = credentials
    this.#maxAgeSeconds = Math.floor(maxAgeMs / 1_000)
  }

  /** The headers of the answer to a preflight (204). An origin that is not allowed gets none, and its browser stops there. */
  preflight(req: IncomingMessage): FlatHeaders {
    const allowed = this.#allowed(req)
    if (allowed.length === 0) return ['vary', 'Origin']
    const wanted = req.headers['access-control-request-headers']
    return [
      ...allowed,
      'access-control-allow-methods',
      'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS',
      ...(typeof wanted === 'string' && /^[\w\s,-]{1,1024}$/.test(wanted)
        ? ['access-control-allow-headers', wanted]
        : []),
      'access-control-max-age',
      `${this.#maxAgeSeconds}`,
      'vary',
      'Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
    ]
  }

  /** An upstream's headers without its own Access-Control-*, and with ours. */
  apply(headers: FlatHeaders, req: IncomingMessage): FlatHeaders {
    const ours: FlatHeaders = []
    for (let i = 0; i < headers.length; i += 2) {
      if (!headers[i]!.toLowerCase().startsWith('access-control-')) ours.push(headers[i]!, headers[i + 1]!)
    }
    ours.push('vary', 'Origin')
    const allowed = this.#allowed(req)
    if (allowed.length > 0) ours.push(...allowed, 'access-control-expose-headers', EXPOSED)
    return ours
  }

  #allowed(req: IncomingMessage): FlatHeaders {
    const { origin } = req.headers
    if (typeof origin !== 'string' || !(this.#any || this.#origins.has(origin))) return []
    const headers = ['access-control-allow-origin', this.#any ? '*' : origin]
    if (this.#credentials) headers.push('access-control-allow-credentials', 'true')
    return headers
  }
}

/** What a page's script may read of our answers. */
const EXPOSED =
  'Age, Cache-Status, Content-Length, Content-Location, ETag, Location, Preference-Applied, RateLimit, RateLimit-Policy, Retry-After, Server-Timing, X-Request-Id'
