/** From verified claims to the tenant, the principal and the digest of what changes the rows seen. */
import { digestParts } from '../kernel/digest.ts'
import { Refusal } from '../kernel/errors.ts'

export type Claims = Readonly<Record<string, unknown>>

/** Where a name comes from: a claim by its dotted path, translated where there is a map, or a constant. */
export type ClaimRule =
  | { readonly claim: string; readonly map?: Readonly<Record<string, string>> | undefined }
  | { readonly value: string }

const TENANT_NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/
const MAX_PRINCIPAL_CHARS = 256
const MAX_DEPTH = 64

/**
 * A number that a double may not hold: its digits as they were written. Two scopes that differ in the 17th digit are
 * two scopes.
 */
class Digits {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** Parses a claims set; numbers that are not safe integers become `Digits`. */
export function parseClaims(json: string): unknown {
  return JSON.parse(json, (_name, value: unknown, context?: { source?: string }) =>
    typeof value === 'number' && !Number.isSafeInteger(value) ? new Digits(context?.source ?? String(value)) : value,
  )
}

/**
 * The claim at a dotted path, undefined if there is none. A claim that is named by the whole path comes first
 * ('https://example.com/tenant' has dots). Only own properties: a prototype holds no claims.
 */
export function claimAt(claims: Claims, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path]
  let value: unknown = claims
  for (const step of path.split('.')) {
    if (!hasStep(value, step)) return undefined
    value = value[step]
  }
  return value
}

function hasStep(value: unknown, step: string): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || value instanceof Digits) return false
  return Object.hasOwn(value, step) && (!Array.isArray(value) || /^\d+$/.test(step))
}

/** Throws TENANT_UNKNOWN where the claims give no tenant's name. */
export function tenantOf(claims: Claims, rule: ClaimRule): string {
  const tenant = ruled(claims, rule)
  if (typeof tenant === 'string' && TENANT_NAME.test(tenant)) return tenant
  throw new Refusal('TENANT_UNKNOWN', { detail: `${source(rule)} does not give a tenant's name` })
}

/** Null where the claim is absent or null; throws TOKEN_INVALID where it is there and is no name. */
export function principalOf(claims: Claims, rule: ClaimRule): string | null {
  const principal = ruled(claims, rule)
  if (principal === null) return null
  if (principal !== undefined && isPrincipal(principal)) return principal
  throw new Refusal('TOKEN_INVALID', { detail: `${source(rule)} does not give a principal's name` })
}

/**
 * The upstream reads the principal from a header, so it must read what was keyed: control characters would forge
 * headers, and blanks at the ends are cut off on the way, which would make ' root' somebody else.
 */
function isPrincipal(text: string): boolean {
  const fits = text.length > 0 && text.length <= MAX_PRINCIPAL_CHARS && text.isWellFormed()
  return fits && text.trim() === text && !/[\p{Cc}\u2028\u2029]/u.test(text)
}

/** Null: there is no such claim. Undefined: there is one, and it cannot be a name or is not in the map. */
function ruled(claims: Claims, rule: ClaimRule): string | null | undefined {
  if ('value' in rule) return rule.value
  const claim = claimAt(claims, rule.claim)
  if (claim === undefined || claim === null) return null
  if (typeof claim !== 'string' && typeof claim !== 'number') return undefined
  const text = String(claim)
  if (!rule.map) return text
  return Object.hasOwn(rule.map, text) ? rule.map[text] : undefined
}

function source(rule: ClaimRule): string {
  if ('value' in rule) return 'the constant in the configuration'
  return `the claim "${rule.claim}"${rule.map ? ' by its map' : ''}`
}

/** SHA-256 over the named claims, canonical, so that equal scopes are equal however they were written. '' for no names. */
export function scopeDigestOf(claims: Claims, names: readonly string[]): string {
  if (names.length === 0) return ''
  const parts: string[] = []
  for (const name of names.toSorted()) {
    const value = claimAt(claims, name)
    // An absent claim is an empty part, which no JSON is: it differs from null.
    parts.push(name, value === undefined ? '' : canonical(value, 0))
  }
  return digestParts(parts)
}

function canonical(value: unknown, depth: number): string {
  if (depth > MAX_DEPTH) throw new Refusal('TOKEN_INVALID', { detail: 'a scope claim is nested too deeply' })
  if (value instanceof Digits) return value.text
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item, depth + 1)).join()}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const record = value as Claims
  const members = Object.keys(record).sort()
  return `{${members.map((name) => `${JSON.stringify(name)}:${canonical(record[name], depth + 1)}`).join()}}`
}
