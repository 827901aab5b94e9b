/**
 * Where a token may stand, and how it is taken from there. A request that leaves room for choice is refused: whoever
 * reads it after the gateway might choose otherwise, and would then answer as somebody else than was keyed.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { Refusal } from '../kernel/errors.ts'
import { cookieValues } from './cookies.ts'

/** Far above any real token, and below what makes hashing it worth an attack. */
export const MAX_TOKEN_CHARS = 16 * 1024

export interface Place {
  /** As configured, header names in lower case: 'header:authorization'. */
  readonly text: string
  readonly kind: 'header' | 'cookie'
  /** Headers in lower case, cookies as they are written. */
  readonly name: string
}

export interface Credential<P extends Place = Place> {
  readonly token: string
  /** The first configured place in which the token stands. */
  readonly place: P
}

/** 'header:authorization' or 'cookie:access_token'. */
export function parsePlace(text: string): Place {
  const [, kind, name] = /^(header|cookie):([!#$%&'*+.^_`|~0-9A-Za-z-]+)$/.exec(text) ?? []
  if (!kind || !name || text.toLowerCase() === 'header:cookie') {
    throw new TypeError(`credentials: '${text}' is neither 'header:NAME' nor 'cookie:NAME'`)
  }
  return kind === 'header'
    ? { text: text.toLowerCase(), kind, name: name.toLowerCase() }
    : { text, kind: 'cookie', name }
}

/**
 * The request's one token, or null. Throws TOKEN_INVALID where there are two different ones, where a credential header
 * is repeated, and where one holds something else than a token.
 */
export function findCredential<P extends Place>(
  places: readonly P[],
  headers: IncomingHttpHeaders,
  rawHeaders: readonly string[],
): Credential<P> | null {
  let found: Credential<P> | null = null
  for (const place of places) {
    const tokens = place.kind === 'header' ? inHeader(place.name, headers, rawHeaders) : inCookie(place.name, headers)
    for (const token of tokens) {
      if (token.length > MAX_TOKEN_CHARS) refuse(`a token is longer than ${MAX_TOKEN_CHARS} characters`)
      if (!found) found = { token, place }
      else if (found.token !== token) refuse('the request carries two different tokens')
    }
  }
  return found
}

const NONE: readonly string[] = []

/** A blank cookie is what a logout leaves behind: no credential. */
function inCookie(name: string, headers: IncomingHttpHeaders): readonly string[] {
  return headers.cookie === undefined ? NONE : cookieValues(headers.cookie, name).filter((value) => value !== '')
}

function inHeader(name: string, headers: IncomingHttpHeaders, rawHeaders: readonly string[]): readonly string[] {
  const value = headers[name]
  if (value === undefined) return NONE
  // Node keeps the first Authorization and joins most others; only the raw list shows that there were two.
  if (typeof value !== 'string' || isRepeated(name, rawHeaders)) refuse(`the header ${name} stands there twice`)
  if (value === '') return NONE
  const scheme = /^bearer +/i.exec(value)
  if (scheme) return [value.slice(scheme[0].length)]
  // Another scheme (Basic) may mean somebody to the upstream, so it is not passed over as if it were not there.
  if (name === 'authorization') refuse("the Authorization header must be 'Bearer TOKEN'; no other scheme is read here")
  return [value]
}

function isRepeated(name: string, rawHeaders: readonly string[]): boolean {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const raw = rawHeaders[i]!
    if (raw.length === name.length && raw.toLowerCase() === name) count++
  }
  return count > 1
}

function refuse(detail: string): never {
  throw new Refusal('TOKEN_INVALID', { detail })
}
