/** Tokens for tests: good ones, and ones that only an attacker would make. */
import { createHmac, type KeyObject } from 'node:crypto'
import { exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT } from 'jose'

export type TokenClaims = Record<string, unknown>

/** Long enough for HS512. Nothing but tests knows it. */
export const TEST_SECRET = 'a-secret-for-tests-that-is-long-enough-for-every-hmac-there-is-0123456789'

export interface TestKey {
  readonly alg: string
  readonly privateKey: CryptoKey
  /** The public half, as an issuer would configure and publish it. */
  readonly pem: string
  readonly jwk: JWK
}

/** A key pair of the test's own. With a `kid`, its tokens and its JWK carry that. */
export async function generateTestKey(alg: string, kid?: string): Promise<TestKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  const jwk = { ...(await exportJWK(publicKey)), alg, use: 'sig', ...(kid !== undefined && { kid }) }
  return { alg, privateKey, pem: await exportSPKI(publicKey), jwk }
}

/** Signed by a key pair. `header` adds to alg, typ and the key's kid, or replaces them. */
export function mintBy(key: TestKey, claims: TokenClaims, header: TokenClaims = {}): Promise<string> {
  const { alg, jwk } = key
  const kid = jwk.kid === undefined ? {} : { kid: jwk.kid }
  return new SignJWT(claims).setProtectedHeader({ alg, typ: 'JWT', ...kid, ...header }).sign(key.privateKey)
}

export interface MintOptions {
  secret?: string | KeyObject
  alg?: 'HS256' | 'HS384' | 'HS512'
  /** Adds to alg and typ, or replaces them; the signature is right all the same. */
  header?: TokenClaims
}

/** Signed by a shared secret: by hand, because no honest library writes the headers that some tests need. */
export function mint(
  claims: TokenClaims,
  { secret = TEST_SECRET, alg = 'HS256', header = {} }: MintOptions = {},
): string {
  return signHmac({ alg, typ: 'JWT', ...header }, JSON.stringify(claims), secret, `sha${alg.slice(2)}`)
}

/** For payloads that JSON.stringify would not write: numbers with many digits, no JSON at all. */
export function mintText(payload: string, secret = TEST_SECRET): string {
  return signHmac({ alg: 'HS256', typ: 'JWT' }, payload, secret, 'sha256')
}

/** With any header and any signature, an empty one by default. */
export function forge(header: TokenClaims, claims: TokenClaims, signature = ''): string {
  return `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(claims))}.${signature}`
}

function signHmac(header: TokenClaims, payload: string, secret: string | KeyObject, hash: string): string {
  const signed = `${base64url(JSON.stringify(header))}.${base64url(payload)}`
  return `${signed}.${createHmac(hash, secret).update(signed).digest('base64url')}`
}

const base64url = (text: string): string => Buffer.from(text).toString('base64url')
