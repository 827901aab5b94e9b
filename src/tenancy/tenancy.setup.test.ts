/** For this room's tests: a tenancy with a held clock, and requests as Node's parser would hand them over. */
import type { IncomingHttpHeaders } from 'node:http'
import type { JWK } from 'jose'
import { type Script, startOrigin } from '../../test/support/origin.ts'
import { TEST_SECRET } from '../../test/support/tokens.ts'
import { ManualClock } from '../kernel/clock.manual.ts'
import { Refusal } from '../kernel/errors.ts'
import type { Caller } from '../kernel/exchange.ts'
import { jwksFetcher } from './jwks.fetch.ts'
import { type IssuerOptions, Tenancy, type TenancyOptions } from './tenancy.ts'

export const START_AT = 1_700_000_000_000
export const START_S = START_AT / 1000

/** Claims of a token that holds for the first minute of every test. */
export const CLAIMS = { sub: 'alice', tenant: 'acme', exp: START_S + 60 }

export function issuer(options: Partial<IssuerOptions> = {}): IssuerOptions {
  const keyed = options.publicKey !== undefined || options.jwksUri !== undefined
  return {
    name: 'main',
    algorithms: ['HS256'],
    ...(!keyed && { secret: TEST_SECRET }),
    clockToleranceMs: 0,
    credentials: ['header:authorization', 'header:x-guesttoken', 'cookie:access_token'],
    tenant: { claim: 'tenant' },
    principal: { claim: 'sub' },
    scopeClaims: [],
    ...options,
  }
}

export function setup(issuers: readonly IssuerOptions[] = [issuer()], options: Partial<TenancyOptions> = {}) {
  const clock = new ManualClock(START_AT)
  const tenancy = new Tenancy({ issuers, clock, ...options })
  const identify = (...lines: [string, string][]) => tenancy.identify(...request(...lines))
  /** What comes of a request, be it answered or thrown, at once or later: a caller, null, or a refusal's code. */
  const outcome = async (...lines: [string, string][]): Promise<Caller | string | null> => {
    try {
      return await identify(...lines)
    } catch (error) {
      if (error instanceof Refusal) return error.code
      throw error
    }
  }
  return {
    clock,
    tenancy,
    identify,
    bearer: (token: string) => identify(['Authorization', `Bearer ${token}`]),
    outcome,
    outcomeOf: (token: string) => outcome(['Authorization', `Bearer ${token}`]),
  }
}

/** Node keeps the first Authorization, joins cookies by ';' and other headers by ','. */
export function request(...lines: [string, string][]): [IncomingHttpHeaders, string[]] {
  const headers: Record<string, string> = {}
  for (const [name, value] of lines) {
    const key = name.toLowerCase()
    const before = headers[key]
    if (before === undefined) headers[key] = value
    else if (key !== 'authorization') headers[key] = `${before}${key === 'cookie' ? '; ' : ', '}${value}`
  }
  return [headers, lines.flat()]
}

/** The refusal, however it comes. */
export async function refusalOf(ask: () => unknown): Promise<Refusal> {
  try {
    await ask()
  } catch (error) {
    if (error instanceof Refusal) return error
    throw error
  }
  throw new Error('it was not refused')
}

export const publishing =
  (...keys: JWK[]): Script =>
  (_req, res) =>
    void res.end(JSON.stringify({ keys }))

/** An identity provider on a real socket, and a tenancy that fetches its keys from there. */
export async function setupProvider(script: Script) {
  const provider = await startOrigin(script)
  const faults: unknown[] = []
  const issuers = [issuer({ name: 'idp', algorithms: ['ES256'], jwksUri: `${provider.url}/jwks` })]
  const parts = setup(issuers, {
    fetchJwks: jwksFetcher({ timeoutMs: 200, maxBytes: 4_096 }),
    onKeysFault: (name, error) => faults.push([name, error]),
  })
  return {
    ...parts,
    provider,
    faults,
    fetches: () => provider.seen.length,
    [Symbol.asyncDispose]: async () => {
      parts.tenancy.close()
      await provider[Symbol.asyncDispose]()
    },
  }
}

/** The principal, or what came instead. */
export const principal = (outcome: Caller | string | null) => (outcome as Caller | null)?.principal ?? outcome

/** A refresh that was under way is over once its loop sleeps again. */
export async function asleep(clock: { readonly sleeping: number }): Promise<void> {
  while (clock.sleeping === 0) await new Promise((resolve) => setImmediate(resolve))
}
