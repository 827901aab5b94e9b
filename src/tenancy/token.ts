/**
 * A token before it is believed: its shape, its header, and its claims as far as they are needed to choose an issuer.
 * All that a header could do to steer its own verification is refused here, before any key is touched (RFC 8725).
 */
import { Refusal } from '../kernel/errors.ts'
import { type Claims, parseClaims } from './claims.ts'

export interface Token {
  readonly text: string
  readonly alg: string
  readonly iss: string | undefined
  /** Worth nothing until an issuer has verified `text`. */
  readonly claims: Claims
}

const SHAPE = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

/** Headers by which a token would bring its own key, or demand a reading that is not done here. */
const FORBIDDEN_HEADERS = ['jwk', 'jku', 'x5u', 'x5c', 'crit', 'b64', 'zip'] as const

/** Other types (logout+jwt, dpop+jwt, …) are signed by the same issuers for other ends (RFC 8725 section 3.11). */
const TYPES: ReadonlySet<string> = new Set(['jwt', 'application/jwt', 'at+jwt', 'application/at+jwt'])

/** Throws TOKEN_INVALID. */
export function readToken(text: string): Token {
  if (text.split('.', 6).length === 5) refuse('encrypted tokens (JWE) are not accepted')
  if (!SHAPE.test(text)) refuse('the credential is not a signed token (JWS) in three parts')
  const [header, payload] = text.split('.') as [string, string]
  const alg = checkedAlg(parsed(header, parseObject))
  const claims = parsed(payload, parseClaims)
  const iss = Object.hasOwn(claims, 'iss') ? claims.iss : undefined
  if (iss !== undefined && typeof iss !== 'string') refuse('the claim "iss" is not a string')
  return { text, alg, iss, claims }
}

function checkedAlg(header: Claims): string {
  for (const name of FORBIDDEN_HEADERS) {
    if (Object.hasOwn(header, name)) refuse(`the token header carries "${name}", which is not accepted`)
  }
  const { alg, typ, kid } = header
  if (typeof alg !== 'string') refuse('the token header names no algorithm')
  if (alg.toLowerCase() === 'none') refuse('unsigned tokens are not accepted')
  if (typ !== undefined && !(typeof typ === 'string' && TYPES.has(typ.toLowerCase()))) {
    refuse('the token header has a "typ" that is not an access token\'s')
  }
  if (kid !== undefined && typeof kid !== 'string') refuse('the token header has a "kid" that is not a string')
  return alg
}

function parsed(part: string, parse: (json: string) => unknown): Claims {
  let value: unknown
  try {
    value = parse(Buffer.from(part, 'base64url').toString())
  } catch {
    refuse('a part of the token is not JSON') // without its cause, whose message quotes the text
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    refuse('a part of the token is not an object')
  return value as Claims
}

const parseObject = (json: string): unknown => JSON.parse(json)

function refuse(detail: string): never {
  throw new Refusal('TOKEN_INVALID', { detail })
}
