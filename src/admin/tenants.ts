import { z } from 'zod'
import type { Config } from '../config/schema.ts'
import { shownAt } from '../config/show.ts'
import { tenantSettings } from '../config/tenants.ts'
import { Refusal } from '../kernel/errors.ts'
import type { TenantLoad } from '../queue/scheduler.ts'
import type { House } from '../request/house.ts'
import { type AdminCall, limitUpTo, type Operation, queryOf, TenantName } from './calls.ts'
import { busyTenants, type LoadDocument, loadDocument, MAX_TENANTS } from './loads.ts'

interface TenantDocument {
  tenant: string
  /** Whether the config names it; others have the settings of `tenants.default`. */
  listed: boolean
  plan: string | null
  /** What holds for it, as a config file would say it; null: the config has none such, and rejects the unknown. */
  settings: unknown
  load: LoadDocument & { paused: boolean }
}

const ListInput = z.strictObject({ limit: limitUpTo(MAX_TENANTS, 100), cursor: TenantName.optional() })
const LIST_ALLOWED = `limit: 1 to ${MAX_TENANTS}; cursor: the nextCursor of the page before`

export function tenantOperations(house: House): Record<string, Operation> {
  return {
    'GET /admin/v1/tenants': (call) => listTenants(call, house),
    'GET /admin/v1/tenants/:id': ({ params }) => showTenant(params.id!, house),
  }
}

/** Those that the config names, and others that have work; by name, a page at a time. */
async function listTenants(call: AdminCall, house: House) {
  const { limit, cursor = '' } = queryOf(call, ListInput, LIST_ALLOWED)
  const { config } = house.policy
  const busy = await busyTenants(house.scheduler)
  const known = new Set([...Object.keys(config.tenants.list), ...busy.tenants.filter(isName)])
  const names = [...known].filter((name) => name > cursor).sort()
  const page = names.slice(0, limit)
  const loads = await house.scheduler.loads(page)
  return {
    tenants: loads.map((load) => tenantDocument(load, house.clock.now(), config)),
    nextCursor: names.length > limit ? page.at(-1)! : null,
    truncated: busy.truncated,
  }
}

const isName = (text: string): boolean => TenantName.safeParse(text).success

async function showTenant(name: string, { scheduler, policy, clock }: House): Promise<TenantDocument> {
  if (!isName(name)) throw new Refusal('REQUEST_INVALID', { detail: `"${name}" is no possible name of a tenant` })
  const [load] = await scheduler.loads([name])
  const document = tenantDocument(load!, clock.now(), policy.config)
  if (document.settings === null && load!.running === 0 && load!.oldestAt === null)
    throw new Refusal('NOT_FOUND', { detail: `the config has no tenant "${name}", and it has no work left` })
  return document
}

function tenantDocument(load: TenantLoad, nowAt: number, config: Config): TenantDocument {
  const { tenant, paused } = load
  const listed = Object.hasOwn(config.tenants.list, tenant)
  const settings = tenantSettings(config, tenant)
  return {
    tenant,
    listed,
    plan: (listed && config.tenants.list[tenant]!.plan) || null,
    settings: settings ? shownAt(['tenants', 'default'], settings, config) : null,
    load: { ...loadDocument(load, nowAt), paused },
  }
}
