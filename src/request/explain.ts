import { freshness } from '../cache/freshness.ts'
import { digestParts, sha256 } from '../kernel/digest.ts'
import { Refusal, StoreUnavailable } from '../kernel/errors.ts'
import { normalPath, splitTarget } from '../routing/path.ts'
import { identityOf } from '../tenancy/identity.ts'
import type { House } from './house.ts'
import { readFar } from './recall.ts'

export interface ExplainInput {
  method: string
  /** Path with its query. */
  path: string
  headers: Record<string, string>
  body?: string | undefined
}

/** Walks a request without sending anything: route, caller, identity, key and its parts, what the tiers hold. */
export async function explain(input: ExplainInput, house: House): Promise<Record<string, unknown>> {
  const { path: rawPath, query } = splitTarget(input.path)
  const path = normalPath(rawPath)
  if (path === null)
    throw new Refusal('REQUEST_INVALID', {
      detail: 'this path is refused: dot segments, control characters or broken escapes',
    })
  const headers = Object.fromEntries(Object.entries(input.headers).map(([name, value]) => [name.toLowerCase(), value]))
  const { policy } = house
  const route = policy.routes.find(input.method, path) ?? policy.fallback
  const summary = {
    name: route.name,
    mode: route.mode,
    auth: route.auth,
    upstream: route.upstream?.state().name ?? null,
  }
  if (route.mode === 'deny') return { route: summary, refusal: 'ROUTE_DENIED' }

  const caller = route.auth === 'none' ? null : await policy.tenancy.identify(headers, Object.entries(headers).flat())
  const tenant = caller && policy.tenant(caller.tenant)
  const who = {
    tenant: caller?.tenant ?? null,
    known: tenant !== undefined,
    paused: tenant?.paused ?? false,
    principal: caller?.principal ?? null,
    scopeDigest: caller?.scopeDigest || null,
    issuer: caller?.issuer ?? null,
  }
  if (!route.cached) return { route: summary, caller: who, cache: null }

  const { questioner, policy: cache } = route.cached
  const identity = identityOf(caller, cache.identity)
  const method = input.method === 'HEAD' ? 'GET' : input.method
  const asked = { method, path, query, headers, body: Buffer.from(input.body ?? ''), identity }
  const told = questioner.explain(asked)
  const place = { key: told.key, tenant: cache.identity === 'shared' ? '' : (caller?.tenant ?? ''), tags: told.tags }
  const held = await house.cache.inspect(place).catch(orUnavailable)
  const nowAt = house.clock.now()
  const found = await readFar({ place }, house)
  return {
    route: summary,
    caller: who,
    identity: { kind: cache.identity, digest: sha256(identity) },
    key: told.key,
    parts: told.parts.map(({ name, value }) =>
      isSecret(name) ? { name, value: `sha256:${digestParts([value])}` } : { name, value },
    ),
    canonicalQuery: told.canonicalQuery,
    canonicalBody: told.canonicalBody,
    tags: told.tags,
    bypass: told.bypass,
    cache: held,
    freshness: found?.kind === 'entry' ? freshness(found.entry, nowAt) : null,
    ttlLeftMs: found?.kind === 'entry' ? found.entry.storedAt + found.entry.ttlMs - nowAt : null,
    flight: { waitingHere: house.flights.waiting(`${house.cache.purges}:${told.key}`) },
  }
}

/** An explanation without the far tier is better than none. */
function orUnavailable(error: unknown): { unavailable: string } {
  if (!(error instanceof StoreUnavailable)) throw error
  return { unavailable: error.message }
}

/** Headers may be keyed that carry a secret; the identity is made of claims. */
const isSecret = (name: string): boolean => /identity|authorization|cookie|token/i.test(name)
