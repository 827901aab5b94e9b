/** The keys by which an issuer's tokens are verified: fixed ones here, published ones in jwks.ts. */
import { createPublicKey, createSecretKey, type KeyObject, type webcrypto } from 'node:crypto'
import type { JWTVerifyGetKey } from 'jose'

export interface KeySet {
  /** Which keys these are: a token is remembered together with the epoch that verified it. */
  readonly epoch: number
  readonly find: JWTVerifyGetKey
}

export interface IssuerKeys {
  /** Grows whenever the keys change. */
  readonly epoch: number
  /** Throws UPSTREAM_UNREACHABLE while there have never been any. */
  current(): KeySet | Promise<KeySet>
  /** Looks for newer keys, if that may help and is due. True if they are not those of `sinceEpoch` any more. */
  renew(sinceEpoch: number): Promise<boolean>
  close(): void
}

const HMAC = ['HS256', 'HS384', 'HS512']

/** What key each accepted algorithm needs, as node:crypto names key types and curves. */
const KEY_TYPES: Readonly<Record<string, readonly string[]>> = {
  RS256: ['rsa'],
  RS384: ['rsa'],
  RS512: ['rsa'],
  PS256: ['rsa', 'rsa-pss'],
  PS384: ['rsa', 'rsa-pss'],
  PS512: ['rsa', 'rsa-pss'],
  ES256: ['prime256v1'],
  ES384: ['secp384r1'],
  ES512: ['secp521r1'],
  EdDSA: ['ed25519'],
  Ed25519: ['ed25519'],
}

const MIN_RSA_BITS = 2048

export function secretKeys(secret: string, algorithms: readonly string[]): IssuerKeys {
  demand(secret !== '', 'secret is empty')
  const bytes = createSecretKey(Buffer.from(secret))
  const keys = new Map<string, webcrypto.CryptoKey>()
  for (const alg of algorithms) {
    // A secret serves no other algorithm, and a public key no HS*: nothing is left to confuse at run time.
    demand(HMAC.includes(alg), `${alg} cannot be verified by a secret`)
    // Imported once: jose would import a KeyObject anew for every token.
    keys.set(alg, bytes.toCryptoKey({ name: 'HMAC', hash: `SHA-${alg.slice(2)}` }, false, ['verify']))
  }
  return fixed(async ({ alg }) => keys.get(alg)!)
}

export function publicKeys(pem: string, algorithms: readonly string[]): IssuerKeys {
  demand(!pem.includes('PRIVATE KEY'), 'publicKey holds a private key, which the gateway must not have')
  const key = parsePublicKey(pem)
  const details = key.asymmetricKeyDetails
  const type = key.asymmetricKeyType === 'ec' ? details?.namedCurve : key.asymmetricKeyType
  for (const alg of asymmetric(algorithms)) {
    demand(KEY_TYPES[alg]!.includes(type ?? ''), `${alg} cannot be verified by a key of type ${type}`)
  }
  const bits = details?.modulusLength
  demand(bits === undefined || bits >= MIN_RSA_BITS, `publicKey has ${bits} bits, fewer than ${MIN_RSA_BITS}`)
  return fixed(async () => key)
}

function parsePublicKey(pem: string): KeyObject {
  try {
    return createPublicKey(pem)
  } catch (cause) {
    throw new TypeError('publicKey is not a public key in PEM', { cause })
  }
}

/** The same list, once it is sure that it holds no algorithm of a shared secret, `none`, or an unknown name. */
export function asymmetric(algorithms: readonly string[]): readonly string[] {
  for (const alg of algorithms) demand(Object.hasOwn(KEY_TYPES, alg), `${alg} cannot be verified by a public key`)
  return algorithms
}

function fixed(find: JWTVerifyGetKey): IssuerKeys {
  const set: KeySet = { epoch: 0, find }
  return { epoch: 0, current: () => set, renew: async () => false, close() {} }
}

function demand(holds: boolean, message: string): asserts holds {
  if (!holds) throw new TypeError(message)
}
