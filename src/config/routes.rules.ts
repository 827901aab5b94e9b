/** Rules of `routes`: each can be reached, has an upstream, and shares answers only with whom they are for. */

import type { Finding, Rule } from './finding.ts'
import { didYouMean } from './issues.ts'
import { CACHEABLE_METHODS, type CachePolicy } from './routes.ts'
import type { Config, Route } from './schema.ts'
import { longestStay, MAX_STAY_MS } from './stay.ts'
import { coversPath, parseBypass, parseTag } from './terms.ts'

const namesDiffer: Rule = ({ routes }) =>
  routes.flatMap(({ name }, at) =>
    routes.findIndex((other) => other.name === name) === at
      ? []
      : [
          {
            path: ['routes', at, 'name'],
            message: 'is the name of an earlier route',
            allowed: 'a name of its own',
          },
        ],
  )

const upstreamIsKnown: Rule = ({ routes, upstreams }) =>
  routes.flatMap(({ upstream }, at) => {
    const names = Object.keys(upstreams)
    if (upstream === undefined || names.length === 0 || names.includes(upstream)) return []
    const message =
      upstream === ''
        ? 'is missing, and there are several upstreams to choose from'
        : `is not the name of an upstream${didYouMean(upstream, names)}`
    const path = ['routes', at, 'upstream']
    return [
      {
        path,
        judgedBy: [['upstreams', upstream], ...(upstream === '' ? [['upstreams']] : [])],
        message,
        allowed: names.join(', '),
      },
    ]
  })

const routeIsReachable: Rule = ({ routes }) =>
  routes.flatMap((route, at) => {
    const earlier = routes.slice(0, at).findIndex((other) => covers(other, route))
    return earlier >= 0
      ? [
          {
            path: ['routes', at],
            message: `is never reached: routes[${earlier}] above matches all it does`,
            warning: true,
          },
        ]
      : []
  })

function covers({ match: wide }: Route, { match: narrow }: Route): boolean {
  const methods = wide.method
  const allMethods = methods === undefined || narrow.method?.every((method) => methods.includes(method))
  return allMethods === true && coversPath(wide.path, narrow.path)
}

type CacheRule = (cache: CachePolicy, route: Route, path: readonly (string | number)[], config: Config) => Finding[]

const eachCache: Rule = (config) =>
  config.routes.flatMap((route, at) =>
    route.cache ? CACHE_RULES.flatMap((rule) => rule(route.cache!, route, ['routes', at], config)) : [],
  )

export const routeRules: Rule[] = [namesDiffer, upstreamIsKnown, routeIsReachable, eachCache]

const CACHE_RULES: CacheRule[] = [methodIsCacheable, callerIsKnown, sharedIsMeant, bodyIsRead, stayIsBounded]

function methodIsCacheable(_: CachePolicy, { match, mode }: Route, path: readonly (string | number)[]): Finding[] {
  const wrong = (match.method ?? []).filter((method) => !CACHEABLE_METHODS.some((known) => known === method))
  if (wrong.length === 0) return []
  return [
    {
      path: [...path, 'match', 'method'],
      message: `answers to ${wrong.join(', ')} cannot be cached`,
      allowed: `${CACHEABLE_METHODS.join(', ')}${mode === 'queue' ? '; or no cache section' : ''}`,
    },
  ]
}

/**
 * Without a token there is no principal, scope or tenant to keep answers apart by, and an answer kept for "nobody" is
 * shared by all: that must be asked for by its name. (`auth: optional` is fine with every identity: callers without a
 * token are one identity of their own, apart from every tenant's.)
 */
function callerIsKnown({ identity }: CachePolicy, { auth }: Route, path: readonly (string | number)[]): Finding[] {
  if (auth !== 'none' || identity === 'shared') return []
  return [
    {
      path: [...path, 'cache', 'identity'],
      judgedBy: [[...path, 'auth'], ['auth']],
      message: `${identity} cannot be told on a route with auth: none`,
      allowed: 'shared, or auth: required or optional',
    },
  ]
}

/** An upstream that can tell tenants apart may answer them differently; a shared answer would cross over. */
function sharedIsMeant(
  cache: CachePolicy,
  route: Route,
  path: readonly (string | number)[],
  config: Config,
): Finding[] {
  const upstream = config.upstreams[route.upstream ?? '']
  if (cache.identity !== 'shared' || cache.sharedDespiteTenantHeader || !upstream) return []
  const header = route.auth === 'none' ? undefined : 'the tenant header'
  const credential = upstream.credentials === 'forward' ? 'the caller’s own credential' : undefined
  const sees = [header, credential].filter((seen) => seen !== undefined)
  if (sees.length === 0) return []
  return [
    {
      path: [...path, 'cache', 'identity'],
      judgedBy: [
        [...path, 'auth'],
        ['auth'],
        [...path, 'cache', 'sharedDespiteTenantHeader'],
        ['upstreams', route.upstream!],
      ],
      message: `shared, but the upstream gets ${sees.join(' and ')} and may answer tenants differently`,
      allowed: 'principal, scope or tenant; or, when it is meant, sharedDespiteTenantHeader: true as well',
    },
  ]
}

/** Only a JSON body has paths. */
function bodyIsRead(cache: CachePolicy, _: Route, path: readonly (string | number)[]): Finding[] {
  if (cache.body === 'json') return []
  const wrong = [
    ...cache.ignoreBody.map((_, at) => ['ignoreBody', at]),
    ...cache.bypass.flatMap((text, at) => (parseBypass(text)?.in === 'body' ? [['bypass', at]] : [])),
    ...cache.tags.flatMap((text, at) => (parseTag(text)?.some(isOfBody) ? [['tags', at]] : [])),
  ]
  return wrong.map((place) => ({
    path: [...path, 'cache', ...place] as (string | number)[],
    judgedBy: [[...path, 'cache', 'body']],
    message: `looks into a body that cache.body: ${cache.body} does not read`,
    allowed: 'cache.body: json',
  }))
}

const isOfBody = (part: string | { in: string }) => typeof part === 'object' && part.in === 'body'

function stayIsBounded(cache: CachePolicy, _: Route, path: readonly (string | number)[]): Finding[] {
  const stay = longestStay(cache)
  if (stay.ms <= MAX_STAY_MS) return []
  return [{ path: [...path, 'cache', stay.longest], judgedBy: [[...path, 'cache']], ...stay.words }]
}
