/**
 * What goes upstream, made from what the client sent. Two modes:
 *
 * - `cache`: an answer is shared by everybody with the same key, so only an allow-list is sent: what was keyed, what
 *   proves the caller, and what cannot change the answer. No conditionals, no ranges, no `Cache-Control`, no
 *   forwarding headers (a `Host` of the client's choice must not end up in an answer that others get).
 * - `proxy`: everything but what concerns this connection, plus the forwarding headers.
 *
 * In both, the headers the upstream trusts are taken from clients in every spelling and set here. Spellings: CGI and
 * WSGI servers see `X-Tenant-Id`, `x_tenant_id` and `X.Tenant.Id` as one name, so names are compared that way.
 */
import type { FlatHeaders } from '../kernel/exchange.ts'
import { forwardedHeaders, type Peer, type TrustedProxies } from './forwarded.ts'
import { isHopByHop, nominated, passableTrailers } from './hop-by-hop.ts'

export { endToEnd } from './hop-by-hop.ts'

/** What a fill accepts. Codings are decoded by the cache, which stores a body in one coding of its own. */
export const FILL_ACCEPT_ENCODING = 'gzip, zstd'

export type Mode = 'cache' | 'proxy'

/** `forward` the caller's | `strip` them | the gateway's own instead of the caller's. */
export type CredentialsPolicy = 'forward' | 'strip' | { header: string; value: string }

export interface HeaderPolicy {
  /** Names of the headers that the upstream believes. */
  trustedHeaders: { tenant: string; principal: string }
  credentials: CredentialsPolicy
  /** Where a token may stand, beside `Authorization`. */
  credentialHeaders?: readonly string[]
  credentialCookies?: readonly string[]
  /** Which cookies a cached route sends when credentials are forwarded; default `credentials`, those that carry a token. */
  cacheCookies?: 'none' | 'credentials' | 'all'
  /** The route's keyed headers: sent in `cache` mode because they are in the key. */
  varyHeaders?: readonly string[]
  /** Further headers that the operator says cannot change an answer. */
  extraHeaders?: readonly string[]
}

export interface HeaderInput {
  rawHeaders: readonly string[]
  mode: Mode
  rules: HeaderRules
  /** Null for an anonymous caller: the trusted headers are then taken away and none are set. */
  caller: { tenant: string; principal: string | null } | null
  requestId: string
  peer: Peer
  trustedProxies: TrustedProxies
}

/** `accept` and `accept-language` change answers: they go upstream on routes that key them (`varyHeaders`). */
const ALWAYS_ALLOWED = ['content-type', 'user-agent', 'traceparent', 'tracestate']

/** `cookie` is kept in part. `expect` is always dropped: whoever sends the body answers or repeats it. */
type Fate = 'keep' | 'drop' | 'cookie'

/** Names are the client's choice, so what is remembered of them is bounded; past this they are decided anew. */
const MAX_FATES = 500

/** Never with a fill, whatever a route names: they ask for something other than the whole, current answer. */
const NEVER_WITH_A_FILL = new Set(['range', 'cache-control', 'pragma', 'content-length'])

/**
 * Set by the gateway or by nobody. The path and method overrides are here because routes were matched by the real
 * ones: an override would walk around a `deny` route.
 */
const OURS =
  /^(?:x-forwarded-.*|forwarded|x-real-ip|x-request-id|x-original-(?:url|uri|host|method)|x-rewrite-url|x-http-method(?:-override)?|x-method-override)$/

/** One name for all spellings that an upstream may take for the same header. */
export const canonicalName = (name: string): string => name.toLowerCase().replaceAll(/[^a-z0-9]/g, '-')

/** A policy made ready: built once per route, read on every request. */
export class HeaderRules {
  readonly trusted: { tenant: string; principal: string }
  readonly credentials: CredentialsPolicy
  readonly #trustedNames: Set<string>
  readonly #credentialNames: Set<string>
  readonly #credentialCookies: Set<string>
  readonly #cacheCookies: 'none' | 'credentials' | 'all'
  readonly #allowed: Set<string>
  readonly #fates = { cache: new Map<string, Fate>(), proxy: new Map<string, Fate>() }

  constructor(policy: HeaderPolicy) {
    const { tenant, principal } = policy.trustedHeaders
    this.trusted = { tenant: tenant.toLowerCase(), principal: principal.toLowerCase() }
    this.credentials = policy.credentials
    this.#trustedNames = new Set([canonicalName(tenant), canonicalName(principal)])
    this.#credentialNames = new Set(['authorization', ...(policy.credentialHeaders ?? [])].map(canonicalName))
    if (typeof policy.credentials === 'object') this.#credentialNames.add(canonicalName(policy.credentials.header))
    this.#credentialCookies = new Set(policy.credentialCookies)
    this.#cacheCookies = policy.credentials === 'forward' ? (policy.cacheCookies ?? 'credentials') : 'none'
    const keyed = [...(policy.varyHeaders ?? []), ...(policy.extraHeaders ?? [])].map((name) => name.toLowerCase())
    this.#allowed = new Set([...ALWAYS_ALLOWED, ...keyed])
  }

  /** Set by the gateway alone, so never taken from a client: not as a header, not as a trailer. */
  isOurs(canonical: string): boolean {
    return this.#trustedNames.has(canonical) || OURS.test(canonical)
  }

  isCredential(canonical: string): boolean {
    return this.#credentialNames.has(canonical)
  }

  /** Whether a fill can carry this header (name in lower case), the client's or the gateway's own of the caller. */
  sends(lower: string): boolean {
    if (this.#trustedNames.has(canonicalName(lower))) return true
    const fate = this.fate(lower, 'cache')
    return fate === 'keep' || (fate === 'cookie' && this.#cacheCookies !== 'none')
  }

  /** Whether it says who calls, so that an identity in the key stands for it. */
  identifies(lower: string): boolean {
    const canonical = canonicalName(lower)
    return lower === 'cookie' || this.isCredential(canonical) || this.#trustedNames.has(canonical)
  }

  /** What becomes of a client's header. Names repeat from request to request, so the answer is remembered. */
  fate(name: string, mode: Mode): Fate {
    const known = this.#fates[mode].get(name)
    if (known) return known
    const fate = this.#decide(name.toLowerCase(), mode)
    if (this.#fates[mode].size < MAX_FATES) this.#fates[mode].set(name, fate)
    return fate
  }

  #decide(lower: string, mode: Mode): Fate {
    const canonical = canonicalName(lower)
    if (lower === 'host' || lower === 'expect' || isHopByHop(lower, null) || this.isOurs(canonical)) return 'drop'
    if (this.credentials !== 'forward' && this.isCredential(canonical)) return 'drop'
    if (canonical === 'cookie') return lower === 'cookie' ? 'cookie' : 'drop'
    return mode === 'proxy' || this.#allowsWithFill(lower, canonical) ? 'keep' : 'drop'
  }

  /** Credentials go with a fill under the exact name that was verified, never under a look-alike. */
  #allowsWithFill(lower: string, canonical: string): boolean {
    if (lower.startsWith('if-') || NEVER_WITH_A_FILL.has(lower)) return false
    return this.#allowed.has(lower) || (lower === canonical && this.isCredential(canonical))
  }

  /** The cookies to send; '' for none. */
  cookies(header: string, mode: Mode): string {
    if (mode === 'cache' && this.#cacheCookies === 'none') return ''
    const onlyTokens = mode === 'cache' && this.#cacheCookies === 'credentials'
    const noTokens = this.credentials !== 'forward'
    if (!onlyTokens && !(noTokens && this.#credentialCookies.size > 0)) return header
    return header
      .split(';')
      .map((pair) => pair.trim())
      .filter((pair) => this.#credentialCookies.has(pair.split('=', 1)[0]!.trim()) === onlyTokens)
      .join('; ')
  }
}

/** The exact headers to send, without `host`, `connection` and transfer framing, which whoever sends them adds. */
export function upstreamHeaders(input: HeaderInput): FlatHeaders {
  const { rawHeaders, mode, rules } = input
  const connectionNames = nominated(rawHeaders)
  const headers: FlatHeaders = []
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    const fate = rules.fate(name, mode)
    if (fate === 'drop' || connectionNames?.has(name.toLowerCase())) continue
    const value = fate === 'cookie' ? rules.cookies(rawHeaders[i + 1]!, mode) : rawHeaders[i + 1]!
    if (fate !== 'cookie' || value !== '') headers.push(mode === 'cache' ? name.toLowerCase() : name, value)
  }
  addOurs(headers, input)
  return headers
}

function addOurs(headers: FlatHeaders, input: HeaderInput): void {
  const { rules, caller, mode } = input
  if (mode === 'cache') headers.push('accept-encoding', FILL_ACCEPT_ENCODING)
  else
    headers.push(...forwardedHeaders({ rawHeaders: input.rawHeaders, peer: input.peer, trusted: input.trustedProxies }))
  if (typeof rules.credentials === 'object')
    headers.push(rules.credentials.header.toLowerCase(), rules.credentials.value)
  if (caller) headers.push(rules.trusted.tenant, headerValue(caller.tenant))
  if (caller?.principal != null) headers.push(rules.trusted.principal, headerValue(caller.principal))
  headers.push('x-request-id', headerValue(input.requestId))
}

/** The request trailers that may be passed on: nothing that a header of that name could not have said. */
export function upstreamTrailers(rawTrailers: readonly string[], rules: HeaderRules): [string, string][] {
  return passableTrailers(rawTrailers, (lower) => {
    const canonical = canonicalName(lower)
    return rules.isOurs(canonical) || rules.isCredential(canonical)
  })
}

/**
 * A claim as a header value. Claims are any text; a header is visible ASCII. The rest, and `%` itself, is
 * percent-encoded as UTF-8, so that two principals never share one value and none can end a line.
 */
export function headerValue(text: string): string {
  return text.replaceAll(/[^\x21-\x24\x26-\x7e]+/g, (part) => encodeURIComponent(part.toWellFormed()))
}
