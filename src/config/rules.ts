/** The rules between settings: pure, each over the whole config. What one setting may be is in the schema. */
import { authRules } from './auth.rules.ts'
import type { Finding, Rule, Warning } from './finding.ts'
import { jobRules } from './jobs.rules.ts'
import { isLoopback } from './loopback.ts'
import { routeRules } from './routes.rules.ts'
import type { Config } from './schema.ts'
import { tenantRules } from './tenants.rules.ts'

/** What is doubtful about a valid config. */
export const warnings = (config: Config): Warning[] => findings(config).filter(({ warning }) => warning)

export const findings = (config: Config): Finding[] => RULES.flatMap((rule) => rule(config))

const RULES: Rule[] = [
  corsIsNotForEveryoneWithCredentials,
  portsDiffer,
  adminNeedsToken,
  processesShareAStore,
  redisIsNamedOnce,
  upstreamsExist,
  upstreamTimesFit,
  ...authRules,
  ...routeRules,
  ...jobRules,
  ...tenantRules,
]

function corsIsNotForEveryoneWithCredentials({ server: { cors } }: Config): Finding[] {
  if (!cors?.credentials || !cors.origins.includes('*')) return []
  return [
    {
      path: ['server', 'cors', 'origins'],
      message: '* together with credentials: true is what browsers refuse',
      allowed: 'exact origins, or credentials: false',
    },
  ]
}

const WILDCARDS = ['0.0.0.0', '::']

function portsDiffer({ server, admin }: Config): Finding[] {
  const sameHost = server.host === admin.host || [server.host, admin.host].some((host) => WILDCARDS.includes(host))
  if (server.port === 0 || server.port !== admin.port || !sameHost) return []
  return [
    {
      path: ['admin', 'port'],
      message: 'is the data port too',
      judgedBy: [['server']],
      allowed: 'another port than server.port',
    },
  ]
}

function adminNeedsToken({ admin }: Config): Finding[] {
  if (admin.token !== '' || isLoopback(admin.host)) return []
  return [
    {
      path: ['admin', 'token'],
      judgedBy: [['admin', 'host']],
      message: 'is empty while admin.host is reachable from other machines',
      allowed: 'a token, or a loopback host such as 127.0.0.1',
    },
  ]
}

function processesShareAStore({ server, store }: Config): Finding[] {
  if (server.processes === 1 || store.kind === 'redis') return []
  return [
    {
      path: ['server', 'processes'],
      judgedBy: [['store']],
      message: 'needs a store that processes can share',
      allowed: '1, or store.kind: redis',
    },
  ]
}

function redisIsNamedOnce({ store }: Config): Finding[] {
  if (store.kind !== 'redis') return []
  const ways = (['url', 'cluster', 'sentinel'] as const).filter((way) => store[way] !== undefined)
  if (ways.length === 1) return []
  const message = ways.length === 0 ? 'does not say where Redis is' : `says where Redis is in ${ways.length} ways`
  return [{ path: ['store'], message, allowed: 'exactly one of url, cluster, sentinel' }]
}

function upstreamsExist({ upstreams }: Config): Finding[] {
  return Object.keys(upstreams).length > 0
    ? []
    : [
        {
          path: ['upstreams'],
          message: 'names no upstream',
          allowed: 'at least one, such as main: { urls: ["http://127.0.0.1:8088"] }',
        },
      ]
}

function upstreamTimesFit({ upstreams }: Config): Finding[] {
  return Object.entries(upstreams).flatMap(([name, { connectTimeout, timeout, breaker, retries, trustedHeaders }]) => [
    ...notAbove(['upstreams', name, 'connectTimeout'], connectTimeout, timeout, 'timeout'),
    ...notAbove(
      ['upstreams', name, 'breaker', 'resetTimeout'],
      breaker.resetTimeout,
      breaker.maxResetTimeout,
      'maxResetTimeout',
    ),
    ...notAbove(['upstreams', name, 'retries', 'baseDelay'], retries.baseDelay, retries.maxDelay, 'maxDelay'),
    ...headersDiffer(['upstreams', name, 'trustedHeaders', 'principal'], trustedHeaders),
  ])
}

function notAbove(path: string[], valueMs: number, limitMs: number, limit: string): Finding[] {
  if (valueMs <= limitMs) return []
  return [
    {
      path,
      judgedBy: [[...path.slice(0, -1), limit]],
      message: `is longer than ${limit}`,
      allowed: `at most ${limit}`,
    },
  ]
}

function headersDiffer(path: string[], { tenant, principal }: { tenant: string; principal: string }): Finding[] {
  if (tenant.toLowerCase() !== principal.toLowerCase()) return []
  return [{ path, message: 'is the header of the tenant too', allowed: 'two different headers' }]
}
