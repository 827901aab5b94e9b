/** Rules of `auth`: who may sign must be able to, with a key of the right kind and length. */
import { createPublicKey, type KeyObject } from 'node:crypto'
import { ASYMMETRIC, type Issuer, SYMMETRIC } from './auth.ts'
import type { Finding, Rule } from './finding.ts'
import { isLoopback } from './loopback.ts'

/** The secret of config/quickstart.yaml: everybody can read it, so it protects nothing. */
export const PUBLISHED_SECRET = 'dev-only-secret-of-the-sluice-quickstart'

const KEY_KINDS = ['secret', 'publicKey', 'publicKeyFile', 'jwksUri'] as const

type IssuerRule = (issuer: Issuer, path: readonly (string | number)[], loopback: boolean) => Finding[]

const requiredNeedsIssuers: Rule = ({ auth, routes }) => {
  const demands = routes.some((route) => route.auth === 'required' && route.mode !== 'deny')
  if (auth.issuers.length > 0 || !(auth.required || demands)) return []
  return [
    {
      path: ['auth', 'issuers'],
      judgedBy: [['auth', 'required'], ['routes']],
      message: 'is empty, so that nobody could ever show an accepted token',
      allowed: 'at least one issuer, or auth.required: false',
    },
  ]
}

const issuersDiffer: Rule = ({ auth: { issuers } }) =>
  issuers.flatMap(({ name }, at) =>
    issuers.findIndex((other) => other.name === name) === at
      ? []
      : [
          {
            path: ['auth', 'issuers', at, 'name'],
            message: 'is the name of an earlier issuer',
            allowed: 'a name of its own',
          },
        ],
  )

const eachIssuer: Rule = ({ auth, server }) =>
  auth.issuers.flatMap((issuer, at) =>
    ISSUER_RULES.flatMap((rule) => rule(issuer, ['auth', 'issuers', at], isLoopback(server.host))),
  )

export const authRules: Rule[] = [requiredNeedsIssuers, issuersDiffer, eachIssuer]

const ISSUER_RULES: IssuerRule[] = [
  oneKey,
  keyFitsAlgorithms,
  secretIsLong,
  secretIsSecret,
  publicKeyFits,
  keySetIsSafe,
]

const isSymmetric = (algorithm: string) => SYMMETRIC.some((known) => known === algorithm)

function oneKey(issuer: Issuer, path: readonly (string | number)[]): Finding[] {
  const given = KEY_KINDS.filter((kind) => issuer[kind] !== undefined)
  if (given.length === 1) return []
  const message =
    given.length === 0 ? 'has no key to verify tokens with' : `has ${given.length} keys: ${given.join(', ')}`
  return [{ path, message, allowed: `exactly one of ${KEY_KINDS.join(', ')}` }]
}

/** A public key taken for an HS secret lets anybody sign: the two kinds never mix. */
function keyFitsAlgorithms(issuer: Issuer, path: readonly (string | number)[]): Finding[] {
  const hasSecret = issuer.secret !== undefined
  const hasPublic = KEY_KINDS.some((kind) => kind !== 'secret' && issuer[kind] !== undefined)
  if (hasSecret === hasPublic) return []
  const wrong = issuer.algorithms.filter((algorithm) => isSymmetric(algorithm) !== hasSecret)
  if (wrong.length === 0) return []
  return [
    {
      path: [...path, 'algorithms'],
      judgedBy: KEY_KINDS.map((kind) => [...path, kind]),
      message: `${wrong.join(', ')} cannot be verified with ${hasSecret ? 'a secret' : 'a public key'}`,
      allowed: (hasSecret ? SYMMETRIC : ASYMMETRIC).join(', '),
    },
  ]
}

/** RFC 7518 section 3.2: a key of the size of the hash output or larger. */
function secretIsLong(
  { secret, algorithms }: Issuer,
  path: readonly (string | number)[],
  loopback: boolean,
): Finding[] {
  if (secret === undefined) return []
  const bytes = Buffer.byteLength(secret)
  const needed = Math.max(0, ...algorithms.filter(isSymmetric).map((algorithm) => Number(algorithm.slice(2)) / 8))
  if (bytes >= needed) return []
  return [
    {
      path: [...path, 'secret'],
      judgedBy: [
        [...path, 'algorithms'],
        ['server', 'host'],
      ],
      message: `has ${bytes} bytes, which is too short for ${algorithms.join(', ')}`,
      allowed: `at least ${needed} bytes${loopback ? '' : '; shorter only while server.host is a loopback address'}`,
      warning: loopback,
    },
  ]
}

function secretIsSecret({ secret }: Issuer, path: readonly (string | number)[], loopback: boolean): Finding[] {
  if (secret !== PUBLISHED_SECRET || loopback) return []
  return [
    {
      path: [...path, 'secret'],
      judgedBy: [['server', 'host']],
      message: 'is the published secret of config/quickstart.yaml, with which anybody can sign',
      allowed: 'a secret of your own, or a loopback server.host',
    },
  ]
}

function publicKeyFits({ publicKey, algorithms }: Issuer, path: readonly (string | number)[]): Finding[] {
  return publicKey === undefined ? [] : keyFindings(publicKey, algorithms, [...path, 'publicKey'])
}

/** What is wrong with a PEM for the algorithms it shall verify. */
export function keyFindings(pem: string, algorithms: readonly string[], path: readonly (string | number)[]): Finding[] {
  const key = /PRIVATE KEY/.test(pem) ? undefined : readKey(pem)
  if (!key) return [{ path, message: 'holds no public key', allowed: 'PEM: -----BEGIN PUBLIC KEY-----' }]
  const wrong = algorithms.filter((algorithm) => !isSymmetric(algorithm) && !fits(key, algorithm))
  if (wrong.length === 0) return []
  return [
    {
      path,
      judgedBy: [[...path.slice(0, -1), 'algorithms']],
      message: `is not a key for ${wrong.join(', ')}`,
      allowed: 'a key that fits every algorithm of the issuer',
    },
  ]
}

function readKey(pem: string): KeyObject | undefined {
  try {
    return createPublicKey(pem)
  } catch {
    return undefined // not a key in any form that Node knows
  }
}

const CURVES: Record<string, string> = { ES256: 'prime256v1', ES384: 'secp384r1', ES512: 'secp521r1' }

function fits(key: KeyObject, algorithm: string): boolean {
  if (algorithm === 'EdDSA') return key.asymmetricKeyType === 'ed25519'
  if (algorithm.startsWith('ES')) return key.asymmetricKeyDetails?.namedCurve === CURVES[algorithm]
  return key.asymmetricKeyType === 'rsa' || (algorithm.startsWith('PS') && key.asymmetricKeyType === 'rsa-pss')
}

function keySetIsSafe({ jwksUri }: Issuer, path: readonly (string | number)[]): Finding[] {
  const url = jwksUri === undefined ? undefined : new URL(jwksUri)
  if (url?.protocol !== 'http:' || isLoopback(url.hostname)) return []
  return [
    {
      path: [...path, 'jwksUri'],
      message: 'fetches keys without TLS: whoever is on the way can sign tokens',
      warning: true,
    },
  ]
}
