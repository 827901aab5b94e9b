/**
 * Keys that an issuer publishes (RFC 7517).
 *
 * jose's own createRemoteJWKSet chooses and imports keys as we want it, which is why its local half is used here. Its
 * remote half is not: in an outage it refuses tokens once its copy is `cacheMaxAge` old and asks again for every one of
 * them, it makes a caller wait for each refresh, and it reads the system's clock.
 *
 *   fetched    at first use, every REFRESH_MS, after RETRY_MS when that failed, and when a token does not fit the keys;
 *              one fetch at a time, and at most one per COOLDOWN_MS whatever tokens are sent
 *   kept       the last good set, through any outage, until another takes its place
 *   the epoch  grows only if the keys differ: fetching the same set again forgets no token
 */
import { createLocalJWKSet, type JSONWebKeySet } from 'jose'
import type { Clock } from '../kernel/clock.ts'
import { sha256 } from '../kernel/digest.ts'
import { Refusal } from '../kernel/errors.ts'
import type { FetchJwks } from './jwks.fetch.ts'
import type { IssuerKeys, KeySet } from './keys.ts'

export const REFRESH_MS = 10 * 60_000
export const RETRY_MS = 30_000
export const COOLDOWN_MS = 5_000

export interface JwksOptions {
  /** The issuer's name, for what is said when its keys are away. */
  name: string
  uri: string
  clock: Clock
  fetchJwks: FetchJwks
  /** Hears of every fetch that failed. */
  onFault: (error: unknown) => void
}

export class JwksKeys implements IssuerKeys {
  readonly #options: JwksOptions
  readonly #closing = new AbortController()
  #set: KeySet | undefined
  #fingerprint = ''
  #fetching: Promise<void> | undefined
  #triedAt: number | undefined
  #fault: unknown

  constructor(options: JwksOptions) {
    const { protocol } = new URL(options.uri)
    if (protocol !== 'https:' && protocol !== 'http:') throw new TypeError(`jwksUri: ${protocol} is not fetched`)
    this.#options = options
  }

  get epoch(): number {
    return this.#set?.epoch ?? 0
  }

  current(): KeySet | Promise<KeySet> {
    return this.#set ?? this.#first()
  }

  async renew(sinceEpoch: number): Promise<boolean> {
    // Another caller may have renewed them while this one's token was being verified.
    if (this.epoch === sinceEpoch) await this.#refresh()
    return this.epoch !== sinceEpoch
  }

  close(): void {
    this.#closing.abort()
  }

  async #first(): Promise<KeySet> {
    if (this.#triedAt === undefined) void this.#keepFresh()
    await this.#refresh()
    if (this.#set) return this.#set
    const detail = `the keys of issuer ${this.#options.name} could not be fetched, so no token of it can be verified`
    throw new Refusal('UPSTREAM_UNREACHABLE', { detail, retryAfterMs: COOLDOWN_MS, cause: this.#fault })
  }

  /** Never rejects. */
  #refresh(): Promise<void> {
    if (this.#fetching) return this.#fetching
    if (this.#isCoolingDown()) return Promise.resolve()
    this.#triedAt = this.#options.clock.now()
    this.#fetching = this.#fetch().finally(() => {
      this.#fetching = undefined
    })
    return this.#fetching
  }

  #isCoolingDown(): boolean {
    if (this.#triedAt === undefined) return false
    const sinceMs = this.#options.clock.now() - this.#triedAt
    return sinceMs >= 0 && sinceMs < COOLDOWN_MS // a clock that was set back must not stop fetching
  }

  async #fetch(): Promise<void> {
    const { uri, fetchJwks, onFault } = this.#options
    try {
      this.#take(await fetchJwks(uri, this.#closing.signal))
      this.#fault = undefined
    } catch (error) {
      if (this.#closing.signal.aborted) return
      this.#fault = error
      onFault(error)
    }
  }

  /** Throws if it is not a key set at all; a single key that cannot be used only fails the tokens that name it. */
  #take(jwks: unknown): void {
    const find = createLocalJWKSet(jwks as JSONWebKeySet)
    const keys = find.jwks().keys.map((key) => JSON.stringify(key))
    const fingerprint = sha256(JSON.stringify(keys.sort()))
    if (fingerprint === this.#fingerprint) return
    this.#fingerprint = fingerprint
    this.#set = { epoch: this.epoch + 1, find }
  }

  async #keepFresh(): Promise<void> {
    const { clock } = this.#options
    const { signal } = this.#closing
    while (!signal.aborted) {
      const wait = clock.sleep(this.#fault === undefined ? REFRESH_MS : RETRY_MS, signal)
      if (await wait.then(() => true, isClosed)) await this.#refresh()
    }
  }
}

/** The wait ends early only because of close(). */
const isClosed = (): boolean => false
