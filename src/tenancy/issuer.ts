/** One issuer of the configuration: whether it signed a token, and whom the token names. */
import type { Clock } from '../kernel/clock.ts'
import { Refusal, type RefusalCode } from '../kernel/errors.ts'
import type { Caller } from '../kernel/exchange.ts'
import { type ClaimRule, claimAt, principalOf, scopeDigestOf, tenantOf } from './claims.ts'
import { type Place, parsePlace } from './credentials.ts'
import type { FetchJwks } from './jwks.fetch.ts'
import { JwksKeys } from './jwks.ts'
import { asymmetric, type IssuerKeys, type KeySet, publicKeys, secretKeys } from './keys.ts'
import { type Lifetime, lifetimeOf, untimely } from './lifetime.ts'
import { checkSignature, type Fault } from './signature.ts'
import type { Token } from './token.ts'

export interface IssuerOptions {
  readonly name: string
  /** The only ones accepted; `none` never is. */
  readonly algorithms: readonly string[]
  /** Exactly one of the three; a publicKey is in PEM. */
  readonly secret?: string | undefined
  readonly publicKey?: string | undefined
  readonly jwksUri?: string | undefined
  /** Where set, the token's `iss` must equal it. */
  readonly issuer?: string | undefined
  /** Where set, the token's `aud` must name one of these. */
  readonly audience?: string | readonly string[] | undefined
  readonly clockToleranceMs: number
  /** Where its tokens may stand, in order: 'header:authorization', 'cookie:access_token'. */
  readonly credentials: readonly string[]
  readonly tenant: ClaimRule
  readonly principal: ClaimRule
  readonly scopeClaims: readonly string[]
  /** Claims that a token must have with exactly these values: `type: access` keeps refresh tokens out. */
  readonly requireClaims?: Readonly<Record<string, string | number | boolean>> | undefined
}

export interface IssuerParts {
  clock: Clock
  fetchJwks: FetchJwks
  /** Hears of every fetch of keys that failed, so that it can be logged. */
  onKeysFault: (issuer: string, error: unknown) => void
}

/** This issuer signed the token for us, and it holds now. */
export interface Proof {
  readonly proven: true
  readonly caller: Caller
  /** The keys that verified it. */
  readonly epoch: number
  readonly lifetime: Lifetime
}

export interface Rejection {
  readonly proven: false
  readonly refusal: Refusal
  /** What may turn this into a proof: other keys of the issuer, or only waiting. */
  readonly curedBy: 'nothing' | 'keys' | 'time'
}

export type Verdict = Proof | Rejection

export class Issuer {
  readonly options: IssuerOptions
  readonly places: readonly Place[]
  readonly keys: IssuerKeys

  constructor(options: IssuerOptions, parts: IssuerParts) {
    this.options = options
    try {
      if (options.name === '') throw new TypeError('it needs a name')
      if (options.credentials.length === 0) throw new TypeError('it names no place where its tokens may stand')
      this.places = options.credentials.map(parsePlace)
      this.keys = openKeys(options, parts)
    } catch (error) {
      throw new TypeError(`issuer ${options.name}: ${(error as Error).message}`, { cause: error })
    }
  }

  /** Whether the token is this issuer's. One that does not fit published keys is tried once more if there are newer ones. */
  async verify(token: Token, nowAt: number): Promise<Verdict> {
    const { name, algorithms } = this.options
    if (!algorithms.includes(token.alg)) {
      const detail = `issuer ${name} accepts only tokens signed with ${algorithms.join(', ')}`
      return rejected('TOKEN_INVALID', detail, 'nothing')
    }
    try {
      const set = await this.keys.current()
      const verdict = await this.#verifyBy(set, token, nowAt)
      if (verdict.proven || verdict.curedBy !== 'keys' || !(await this.keys.renew(set.epoch))) return verdict
      return await this.#verifyBy(await this.keys.current(), token, nowAt)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      // Without keys the token may yet be good; with them its claims were refused.
      return { proven: false, refusal: error, curedBy: error.code === 'UPSTREAM_UNREACHABLE' ? 'keys' : 'nothing' }
    }
  }

  async #verifyBy(set: KeySet, token: Token, nowAt: number): Promise<Verdict> {
    const { algorithms, issuer, audience, clockToleranceMs } = this.options
    const check = { algorithms, issuer, audience, clockToleranceMs, nowAt }
    const outcome = await checkSignature(token.text, set.find, check)
    if ('fault' in outcome) return this.#rejectionFor(outcome.fault)
    const lifetime = lifetimeOf(outcome.payload)
    const refusal = untimely(lifetime, nowAt, clockToleranceMs)
    if (refusal) return { proven: false, refusal, curedBy: refusal.code === 'TOKEN_EXPIRED' ? 'nothing' : 'time' }
    return { proven: true, caller: this.#callerOf(token, lifetime), epoch: set.epoch, lifetime }
  }

  /** Throws TENANT_UNKNOWN or TOKEN_INVALID. */
  #callerOf({ claims }: Token, { expiresAt }: Lifetime): Caller {
    const { name, tenant, principal, scopeClaims, requireClaims = {} } = this.options
    for (const [path, value] of Object.entries(requireClaims)) {
      if (claimAt(claims, path) !== value) {
        throw new Refusal('TOKEN_INVALID', { detail: `issuer ${name} wants the claim "${path}" to be another value` })
      }
    }
    return {
      tenant: tenantOf(claims, tenant),
      principal: principalOf(claims, principal),
      scopeDigest: scopeDigestOf(claims, scopeClaims),
      issuer: name,
      expiresAt,
    }
  }

  #rejectionFor(fault: Fault): Rejection {
    const { name, jwksUri } = this.options
    if (fault === 'expired') return rejected('TOKEN_EXPIRED', 'the token has expired', 'nothing')
    if (fault === 'early') return rejected('TOKEN_INVALID', 'the token is not valid yet', 'time')
    if (fault !== 'signature') {
      return rejected('TOKEN_INVALID', `issuer ${name} does not accept the token's claim "${fault.claim}"`, 'nothing')
    }
    const curedBy = jwksUri === undefined ? 'nothing' : 'keys'
    return rejected('TOKEN_INVALID', `the token's signature is not by a key of issuer ${name}`, curedBy)
  }
}

function rejected(code: RefusalCode, detail: string, curedBy: Rejection['curedBy']): Rejection {
  return { proven: false, refusal: new Refusal(code, { detail }), curedBy }
}

function openKeys(options: IssuerOptions, { clock, fetchJwks, onKeysFault }: IssuerParts): IssuerKeys {
  const { name, algorithms, secret, publicKey, jwksUri } = options
  if (algorithms.length === 0) throw new TypeError('it accepts no algorithm')
  const given = [secret, publicKey, jwksUri].filter((key) => key !== undefined)
  if (given.length !== 1) throw new TypeError('it needs exactly one of secret, publicKey and jwksUri')
  if (secret !== undefined) return secretKeys(secret, algorithms)
  if (publicKey !== undefined) return publicKeys(publicKey, algorithms)
  asymmetric(algorithms)
  return new JwksKeys({ name, uri: jwksUri!, clock, fetchJwks, onFault: (error) => onKeysFault(name, error) })
}
