import { z } from 'zod'
import type { Purge } from '../kernel/news.ts'
import { explain } from '../request/explain.ts'
import type { House } from '../request/house.ts'
import type { Desk } from '../upstream/desk.ts'
import { bodyOf, type Operation, TenantName } from './calls.ts'
import { jobOperations } from './jobs.ts'
import { queueOperations } from './queues.ts'
import { tenantOperations } from './tenants.ts'
import { upstreamOperations } from './upstreams.ts'

/** What to purge: everything, a tenant, tags or one key (of a tenant, or whoever's). */
const PurgeInput = z.union([
  z.strictObject({ all: z.literal(true) }),
  z.strictObject({ tenant: TenantName.optional(), tags: z.array(z.string().min(1).max(256)).min(1).max(100) }),
  z.strictObject({ tenant: TenantName.optional(), key: z.string().regex(/^[\w-]{43}$/) }),
  z.strictObject({ tenant: TenantName }),
])
const PURGE_ALLOWED = '{all: true} | {tenant} | {tenant?, tags: [...]} | {tenant?, key}'

const ExplainInput = z.strictObject({
  method: z.string().min(1).max(32).default('GET'),
  path: z.string().startsWith('/'),
  headers: z.record(z.string(), z.string()).default({}),
  body: z.string().optional(),
})
const EXPLAIN_ALLOWED = '{method, path, headers: {name: value}, body: string}'

/** The admin API's calls, by method and path. */
export function operations(house: House, desk: Desk): Record<string, Operation> {
  return {
    'POST /admin/v1/purge': async (call) => {
      const what = bodyOf(call, PurgeInput, PURGE_ALLOWED)
      const startedAt = performance.now()
      await house.cache.purge(what as Purge)
      return { purged: what, tookMs: Math.round((performance.now() - startedAt) * 10) / 10 }
    },
    'POST /admin/v1/explain': async (call) => explain(bodyOf(call, ExplainInput, EXPLAIN_ALLOWED), house),
    ...queueOperations(house, desk),
    ...jobOperations(house),
    ...upstreamOperations(house, desk),
    ...tenantOperations(house),
  }
}
