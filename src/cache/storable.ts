import type { FlatHeaders } from '../kernel/exchange.ts'
import { nominatedFields, parseCacheControl } from './cache-control.ts'

export interface UpstreamAnswer {
  status: number
  /** As received; names in any case. */
  headers: FlatHeaders
  /** Request headers whose values are in the key. Any case. */
  keyedHeaders: readonly string[]
  /** Whether the answer cannot vary on another header (name in lower case), because the upstream never got it. Default no. */
  isStripped?: (name: string) => boolean
}

export type Storable = { store: true } | { store: false; reason: 'status' | 'no-store' | 'vary' | 'partial' }

/**
 * Whether an answer may be kept. Freshness is the gateway's policy, so max-age, private and no-cache are not obeyed
 * here (Superset marks every chart `no-cache`); no-store always is.
 */
export function storable(answer: UpstreamAnswer): Storable {
  if (answer.status === 206 || headerValue(answer.headers, 'content-range') !== '')
    return { store: false, reason: 'partial' }
  if (answer.status !== 200) return { store: false, reason: 'status' }
  const directives = parseCacheControl(headerValue(answer.headers, 'cache-control'))
  if (directives.some(({ name }) => name === 'no-store')) return { store: false, reason: 'no-store' }
  if (!isVaryCovered(answer)) return { store: false, reason: 'vary' }
  return { store: true }
}

/** Bodies are stored in one coding and served in what each client takes, so Accept-Encoding is always covered. */
function isVaryCovered({ headers, keyedHeaders, isStripped = () => false }: UpstreamAnswer): boolean {
  const names = listOf(headerValue(headers, 'vary'))
  if (names.includes('*')) return false
  const covered = new Set(keyedHeaders.map((name) => name.toLowerCase())).add('accept-encoding')
  return names.every((name) => covered.has(name) || isStripped(name))
}

/** Connection headers (RFC 9110 7.6.1), trailers, and what belongs to one delivery, one client or one coding of the body. */
const NEVER_STORED = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'],
  ...[
    'proxy-authenticate',
    'proxy-authorization',
    'proxy-authentication-info',
    'authentication-info',
    'www-authenticate',
  ],
  ...['set-cookie', 'set-cookie2', 'retry-after', 'age', 'cache-status', 'server-timing', 'x-request-id'],
  ...['content-length', 'content-encoding', 'content-range', 'accept-ranges', 'etag'],
  ...['content-md5', 'digest', 'content-digest', 'repr-digest'],
])

/** RateLimit of every draft, and the older X- spellings. */
const RATE_LIMIT = /^(x-)?rate-?limit/

/** The headers of an upstream answer that may be kept and sent to others, names in lower case, order and repeats kept. */
export function storedHeaders(raw: FlatHeaders): FlatHeaders {
  const nominated = new Set([
    ...listOf(headerValue(raw, 'connection')),
    ...nominatedFields(parseCacheControl(headerValue(raw, 'cache-control'))),
  ])
  const stored: FlatHeaders = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase()
    if (!NEVER_STORED.has(name) && !nominated.has(name) && !RATE_LIMIT.test(name)) stored.push(name, raw[i + 1]!)
  }
  return stored
}

/** All lines of one header as one value (RFC 9110 5.3); '' when there is none. */
function headerValue(headers: FlatHeaders, name: string): string {
  const values: string[] = []
  for (let i = 0; i + 1 < headers.length; i += 2) if (headers[i]!.toLowerCase() === name) values.push(headers[i + 1]!)
  return values.join(', ')
}

const listOf = (value: string): string[] =>
  value
    .split(',')
    .map((item) => item.trim().toLowerCase())
    .filter((item) => item !== '')
