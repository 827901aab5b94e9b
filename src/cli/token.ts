import { SignJWT } from 'jose'
import type { Config } from '../config/schema.ts'
import { Refused } from './output.ts'

export interface Minting {
  secret: string
  alg: string
  claims: Record<string, unknown>
  ttlMs: number
}

/** A signed development token. Production tokens come from an issuer that users log in at. */
export function mintToken({ secret, alg, claims, ttlMs }: Minting): Promise<string> {
  const nowSeconds = Math.floor(Date.now() / 1_000)
  return new SignJWT(claims)
    .setProtectedHeader({ alg, typ: 'JWT' })
    .setIssuedAt(nowSeconds)
    .setExpirationTime(nowSeconds + Math.ceil(ttlMs / 1_000))
    .sign(new TextEncoder().encode(secret))
}

export interface TokenWish {
  tenant: string
  sub: string
  claims: Record<string, unknown>
  ttlMs: number
}

/** A token as the config's first issuer with an HMAC secret would give it. Throws Refused when there is none. */
export function mintFor(config: Config, { tenant, sub, claims, ttlMs }: TokenWish): Promise<string> {
  const issuer = config.auth.issuers.find((issuer) => issuer.secret !== undefined)
  if (!issuer?.secret) {
    throw new Refused(
      'no issuer in this config has an HS256/384/512 secret, so no token can be minted here; ask your login server',
    )
  }
  const all: Record<string, unknown> = { sub, ...claims }
  if ('claim' in issuer.tenant) setPath(all, issuer.tenant.claim, unmapped(issuer.tenant.map, tenant))
  if (issuer.issuer !== undefined) all.iss = issuer.issuer
  if (issuer.audience !== undefined) all.aud = issuer.audience
  return mintToken({
    secret: issuer.secret,
    alg: issuer.algorithms.find((name) => name.startsWith('HS'))!,
    claims: all,
    ttlMs,
  })
}

/** The claim that the issuer's map turns into this tenant. */
function unmapped(map: Readonly<Record<string, string>> | undefined, tenant: string): string {
  return Object.entries(map ?? {}).find(([, mapped]) => mapped === tenant)?.[0] ?? tenant
}

function setPath(target: Record<string, unknown>, path: string, value: unknown): void {
  const names = path.split('.')
  const last = names.pop()!
  let at = target
  for (const name of names) {
    at[name] ??= {}
    at = at[name] as Record<string, unknown>
  }
  at[last] = value
}
