import type { Caller } from '../kernel/exchange.ts'

/** Who may share a stored answer, from the narrowest to everybody. */
export type IdentityKind = 'principal' | 'scope' | 'tenant' | 'shared'

/**
 * The part of a key that says for whom an answer holds. Injective: two callers have one identity only if all that the
 * kind looks at is equal. The issuer counts with principal and scope, because a name means somebody only to its issuer.
 */
export function identityOf(caller: Caller | null, kind: IdentityKind): string {
  if (kind === 'shared') return 'shared'
  if (!caller) return 'anonymous'
  // Issuers have names, so no token makes a caller without one.
  if (caller.issuer === '') return `anonymous${frame(caller.tenant)}`
  if (kind === 'tenant') return `tenant${frame(caller.tenant)}`
  const scope = frame(caller.tenant) + frame(caller.issuer) + frame(caller.scopeDigest)
  return kind === 'scope' ? `scope${scope}` : `principal${scope}${frame(caller.principal)}`
}

/** Framed by length, so that no text can look like two; null is no text. */
const frame = (part: string | null): string => (part === null ? '|-' : `|${part.length}:${part}`)
