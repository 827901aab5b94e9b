/**
 * Who calls: from a request's headers to a verified caller.
 *
 *   find the one token → remembered? answer at once → else choose its issuers by place and `iss` → verify → remember
 *
 * A token's issuer is one that may carry tokens at its place. Where issuers there name the token's `iss`, only they are
 * asked; otherwise only those that demand none, in the order of the configuration.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Clock } from '../kernel/clock.ts'
import { sha256 } from '../kernel/digest.ts'
import { Refusal, type RefusalCode } from '../kernel/errors.ts'
import type { Caller } from '../kernel/exchange.ts'
import { type Credential, findCredential, type Place } from './credentials.ts'
import { Issuer, type IssuerOptions, type Rejection } from './issuer.ts'
import { type FetchJwks, jwksFetcher } from './jwks.fetch.ts'
import { TokenMemory } from './memory.ts'
import { readToken, type Token } from './token.ts'

export type { ClaimRule } from './claims.ts'
export { cookieValues } from './cookies.ts'
export { type IdentityKind, identityOf } from './identity.ts'
export type { IssuerOptions } from './issuer.ts'
export type { FetchJwks } from './jwks.fetch.ts'

export interface TenancyOptions {
  issuers: readonly IssuerOptions[]
  clock: Clock
  /** How many verified tokens are remembered; the least recently used is forgotten first. */
  rememberTokens?: number
  fetchJwks?: FetchJwks
  /** Hears of every fetch of an issuer's keys that failed; the last good keys stay in use. */
  onKeysFault?: (issuer: string, error: unknown) => void
}

interface IssuersPlace extends Place {
  /** What a token is found to be depends on where it stood, so its place is part of its key. */
  readonly prefix: string
  readonly issuers: readonly Issuer[]
}

export class Tenancy {
  /** Names in which credentials may stand; headers in lower case, cookies as they are written. */
  readonly credentialHeaders: ReadonlySet<string>
  readonly credentialCookies: ReadonlySet<string>

  readonly #clock: Clock
  readonly #issuers: readonly Issuer[]
  readonly #places: readonly IssuersPlace[]
  readonly #memory: TokenMemory
  /** Verifications under way: twelve charts of one page cost one. Bounded by the requests that wait for them. */
  readonly #verifying = new Map<string, Promise<Caller>>()

  constructor(options: TenancyOptions) {
    const { issuers, clock, rememberTokens = 10_000, fetchJwks = jwksFetcher(), onKeysFault = () => {} } = options
    const names = new Set(issuers.map((issuer) => issuer.name))
    if (names.size < issuers.length) throw new TypeError('two issuers have the same name')
    this.#clock = clock
    this.#issuers = issuers.map((issuer) => new Issuer(issuer, { clock, fetchJwks, onKeysFault }))
    this.#places = placesOf(this.#issuers)
    this.#memory = new TokenMemory(rememberTokens)
    this.credentialHeaders = namesOf('header', this.#places)
    this.credentialCookies = namesOf('cookie', this.#places)
  }

  /**
   * Null when the request carries no credential. Synchronous when its token is remembered, then also in what it throws:
   * TOKEN_INVALID, TOKEN_EXPIRED, TENANT_UNKNOWN, and UPSTREAM_UNREACHABLE while an issuer's keys have never been got.
   */
  identify(headers: IncomingHttpHeaders, rawHeaders: readonly string[]): Caller | null | Promise<Caller | null> {
    const credential = findCredential(this.#places, headers, rawHeaders)
    if (!credential) return null
    const key = credential.place.prefix + sha256(credential.token)
    const nowAt = this.#clock.now()
    return this.#memory.callerOf(key, nowAt) ?? this.#verifyOnce(key, credential, nowAt)
  }

  get stats(): { remembered: number; evictions: number } {
    return this.#memory.stats
  }

  /** Stops fetching keys. */
  close(): void {
    for (const issuer of this.#issuers) issuer.keys.close()
  }

  #verifyOnce(key: string, credential: Credential<IssuersPlace>, nowAt: number): Promise<Caller> {
    const refusal = this.#memory.refusalOf(key, this.#epochs(), nowAt)
    if (refusal) throw refusal
    const underWay = this.#verifying.get(key)
    if (underWay) return underWay
    const verifying = this.#verify(key, credential, nowAt).finally(() => this.#verifying.delete(key))
    this.#verifying.set(key, verifying)
    return verifying
  }

  async #verify(key: string, { token: text, place }: Credential<IssuersPlace>, nowAt: number): Promise<Caller> {
    const token = readToken(text)
    const epochs = this.#epochs()
    const rejections: Rejection[] = []
    for (const issuer of issuersFor(token, place.issuers)) {
      const verdict = await issuer.verify(token, nowAt)
      if (verdict.proven) {
        this.#memory.accept(key, { ...verdict, issuer }, nowAt)
        return verdict.caller
      }
      rejections.push(verdict)
    }
    const refusal = mostTelling(rejections)
    if (rejections.every(({ curedBy }) => curedBy === 'nothing')) this.#memory.refuse(key, refusal, epochs, nowAt)
    throw refusal
  }

  /** Differs as soon as any issuer's keys do. */
  #epochs(): number {
    return this.#issuers.reduce((sum, issuer) => sum + issuer.keys.epoch, 0)
  }
}

function issuersFor({ iss }: Token, issuers: readonly Issuer[]): readonly Issuer[] {
  const named = issuers.filter(({ options }) => iss !== undefined && options.issuer === iss)
  return named.length > 0 ? named : issuers.filter(({ options }) => options.issuer === undefined)
}

/** With several issuers the one that got furthest is most likely the token's own. */
const TELLING: readonly RefusalCode[] = ['TENANT_UNKNOWN', 'TOKEN_EXPIRED', 'UPSTREAM_UNREACHABLE', 'TOKEN_INVALID']

function mostTelling(rejections: readonly Rejection[]): Refusal {
  const ranked = TELLING.map((code) => rejections.find(({ refusal }) => refusal.code === code))
  const detail = 'no issuer configured for this credential has the token\'s "iss"'
  return ranked.find((rejection) => rejection)?.refusal ?? new Refusal('TOKEN_INVALID', { detail })
}

/** Every place once, in the order in which the configuration first names it, with the issuers that may use it. */
function placesOf(issuers: readonly Issuer[]): IssuersPlace[] {
  const places = new Map(issuers.flatMap((issuer) => issuer.places.map((place) => [place.text, place])))
  return [...places.values()].map((place) => {
    const carriers = issuers.filter((issuer) => issuer.places.some(({ text }) => text === place.text))
    const prefix = `${carriers.map((issuer) => issuers.indexOf(issuer)).join()}:`
    return { ...place, prefix, issuers: carriers }
  })
}

function namesOf(kind: Place['kind'], places: readonly Place[]): ReadonlySet<string> {
  return new Set(places.filter((place) => place.kind === kind).map(({ name }) => name))
}
