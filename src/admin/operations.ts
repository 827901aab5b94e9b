import { z } from 'zod'
import { Refusal } from '../kernel/errors.ts'
import type { Purge } from '../kernel/news.ts'
import { explain } from '../request/explain.ts'
import type { House } from '../request/house.ts'
import type { Operation } from './server.ts'

const Tenant = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/)

/** What to purge: everything, a tenant, tags or one key (of a tenant, or whoever's). */
const PurgeInput = z.union([
  z.strictObject({ all: z.literal(true) }),
  z.strictObject({ tenant: Tenant.optional(), tags: z.array(z.string().min(1).max(256)).min(1).max(100) }),
  z.strictObject({ tenant: Tenant.optional(), key: z.string().regex(/^[\w-]{43}$/) }),
  z.strictObject({ tenant: Tenant }),
])

const ExplainInput = z.strictObject({
  method: z.string().min(1).max(32).default('GET'),
  path: z.string().startsWith('/'),
  headers: z.record(z.string(), z.string()).default({}),
  body: z.string().optional(),
})

/** The admin API's calls, by method and path. */
export function operations(house: House): Record<string, Operation> {
  return {
    'POST /admin/v1/purge': async (input) => {
      const what = parse(PurgeInput, input, '{all: true} | {tenant} | {tenant?, tags: [...]} | {tenant?, key}')
      const startedAt = performance.now()
      await house.cache.purge(what as Purge)
      return { purged: what, tookMs: Math.round((performance.now() - startedAt) * 10) / 10 }
    },
    'POST /admin/v1/explain': async (input) =>
      explain(parse(ExplainInput, input, '{method, path, headers: {name: value}, body: string}'), house),
  }
}

function parse<T>(schema: z.ZodType<T>, input: unknown, allowed: string): T {
  const result = schema.safeParse(input)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  throw new Refusal('BODY_INVALID', {
    detail: `${issue?.path.join('.') || 'the body'}: ${issue?.message} (${allowed})`,
  })
}
