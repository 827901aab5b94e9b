/** Rules of `tenants`: plans exist, and what a tenant overrides still fits the routes. */

import type { Finding, Rule } from './finding.ts'
import { didYouMean } from './issues.ts'
import type { Config } from './schema.ts'
import { longestStay, MAX_STAY_MS } from './stay.ts'
import { type TenantOverrides, tenantSettings, withOverrides } from './tenants.ts'

const planIsKnown: Rule = ({ tenants: { plans, list } }) =>
  Object.entries(list).flatMap(([tenant, { plan }]) => {
    if (plan === undefined || Object.hasOwn(plans, plan)) return []
    const names = Object.keys(plans)
    return [
      {
        path: ['tenants', 'list', tenant, 'plan'],
        judgedBy: [['tenants', 'plans', plan]],
        message: `is not the name of a plan${didYouMean(plan, names)}`,
        allowed: names.length > 0 ? names.join(', ') : 'there are no plans',
      },
    ]
  })

const TIMES = ['ttl', 'jitter', 'staleWhileRevalidate', 'staleIfError'] as const

const staysAreBounded: Rule = (config) => {
  const { tenants } = config
  return [
    ...staysOf(config, ['tenants', 'default'], tenants.default, tenants.default),
    ...Object.entries(tenants.plans).flatMap(([plan, own]) =>
      staysOf(config, ['tenants', 'plans', plan], own, withOverrides(tenants.default, own)),
    ),
    ...Object.entries(tenants.list).flatMap(([tenant, own]) =>
      staysOf(config, ['tenants', 'list', tenant], own, tenantSettings(config, tenant)!),
    ),
  ]
}

/** Judged only where a layer says something itself, and against the route where it lasts longest. */
function staysOf(config: Config, path: string[], own: TenantOverrides, settled: TenantOverrides): Finding[] {
  if (!TIMES.some((time) => own.cache?.[time] !== undefined)) return []
  const stays = config.routes.flatMap(({ cache }) =>
    cache ? [longestStay(overridden(cache, settled.cache ?? {}))] : [],
  )
  const worst = stays.toSorted((a, b) => b.ms - a.ms)[0]
  if (!worst || worst.ms <= MAX_STAY_MS) return []
  return [{ path: [...path, 'cache'], judgedBy: [['routes'], ['tenants', 'default', 'cache']], ...worst.words }]
}

type Times = Record<(typeof TIMES)[number], number>

function overridden(route: Times, tenant: NonNullable<TenantOverrides['cache']>): Times {
  return {
    ttl: tenant.ttl ?? route.ttl,
    jitter: tenant.jitter ?? route.jitter,
    staleWhileRevalidate: tenant.staleWhileRevalidate ?? route.staleWhileRevalidate,
    staleIfError: tenant.staleIfError ?? route.staleIfError,
  }
}

export const tenantRules: Rule[] = [planIsKnown, staysAreBounded]
