/** Rules of jobs: each belongs to somebody, keeps no credential in the open, and is where others can take it over. */
import type { Finding, Rule } from './finding.ts'
import { forwardsCredential } from './jobs.ts'
import type { Config, Route } from './schema.ts'

type RouteRule = (route: Route, path: readonly (string | number)[], config: Config) => Finding[]

const eachRoute: Rule = (config) =>
  config.routes.flatMap((route, at) => ROUTE_RULES.flatMap((rule) => rule(route, ['routes', at], config)))

const ROUTE_RULES: RouteRule[] = [jobHasOwner, credentialIsSealed, replicaExists]

/** Who may see a job is told by its tenant and principal. */
function jobHasOwner({ mode, auth, submit }: Route, path: readonly (string | number)[]): Finding[] {
  if (auth !== 'none' || !submit) return []
  if (mode === 'queue') {
    return [
      {
        path: [...path, 'auth'],
        judgedBy: [['auth']],
        message: 'is none, but a job belongs to somebody',
        allowed: 'required or optional',
      },
    ]
  }
  return [
    {
      path: [...path, 'submit'],
      judgedBy: [[...path, 'auth'], ['auth']],
      message: 'is for nobody on a route with auth: none, for a job belongs to somebody',
      allowed: 'auth: required or optional; or no submit section',
    },
  ]
}

/** A job outlives its request, and what it keeps may be read by whoever reads the store. */
function credentialIsSealed(route: Route, path: readonly (string | number)[], config: Config): Finding[] {
  if (!route.submit || route.submit.credentialKey.length > 0 || !forwardsCredential(route, config)) return []
  const upstream = ['upstreams', route.upstream!]
  return [
    {
      path: [...path, 'submit', 'credentialKey'],
      judgedBy: [[...path, 'submit'], upstream],
      message: `is missing: upstream ${route.upstream} gets the caller’s own credential, which a job keeps sealed only`,
      allowed:
        'a secret text of at least 32 characters, or a list of such; or ' +
        `${upstream.join('.')}.credentials: strip or one of its own`,
    },
  ]
}

function replicaExists({ submit }: Route, path: readonly (string | number)[], { store }: Config): Finding[] {
  if (submit?.durability !== 'replicated' || store.kind === 'redis') return []
  return [
    {
      path: [...path, 'submit', 'durability'],
      judgedBy: [['store']],
      message: 'is replicated, but the embedded store has no replica',
      allowed: 'applied, or store.kind: redis',
    },
  ]
}

const RECYCLING = ['maxJobsPerProcess', 'maxMemory'] as const

const anotherTakesOver: Rule = ({ workers, store }) =>
  RECYCLING.filter((setting) => workers[setting] !== 0 && store.kind !== 'redis').map((setting) => ({
    path: ['workers', setting],
    judgedBy: [['store']],
    message: 'replaces a process, but with the embedded store there is no other to take over',
    allowed: '0, or store.kind: redis',
  }))

const resultsHaveAPlace: Rule = ({ results, store }) =>
  results.kind !== 'redis' || store.kind === 'redis'
    ? []
    : [
        {
          path: ['results', 'kind'],
          judgedBy: [['store']],
          message: 'is redis, but the store is not',
          allowed: 'filesystem, or store.kind: redis',
        },
      ]

export const jobRules: Rule[] = [eachRoute, anotherTakesOver, resultsHaveAPlace]
