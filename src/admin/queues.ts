import { tenantSettings } from '../config/tenants.ts'
import type { TenantLoad } from '../queue/scheduler.ts'
import type { House } from '../request/house.ts'
import type { Desk } from '../upstream/desk.ts'
import type { Operation } from './calls.ts'
import { busyTenants, type LoadDocument, loadDocument, totalOf, waitingIn } from './loads.ts'
import { upstreamDocument } from './upstreams.ts'

interface TenantQueue extends LoadDocument {
  /** Null: requests of nobody in particular, on routes without a token. */
  tenant: string | null
  paused: boolean
  /** As the config says; null where it no longer has the tenant. */
  limits: {
    weight: number
    maxConcurrentQueries: number
    softConcurrentQueries: number
    maxQueueSize: number
  } | null
}

export function queueOperations(house: House, desk: Desk): Record<string, Operation> {
  return {
    'GET /admin/v1/queues': async () => {
      const { scheduler, clock, policy } = house
      const { tenants: names, truncated } = await busyTenants(scheduler)
      const loads = await scheduler.loads(names)
      const tenants = loads.map((load) => queueOf(load, clock.now(), house)).sort(byNeed)
      const views = await desk.views()
      const upstreams = views.map((view) => {
        const { urls: _, ...rest } = upstreamDocument(view, policy.config)
        return rest
      })
      return { tenants, upstreams, totals: { tenants: tenants.length, ...totalOf(tenants) }, truncated }
    },
  }
}

function queueOf(load: TenantLoad, nowAt: number, { policy }: House): TenantQueue {
  const tenant = load.tenant === NOBODY ? null : load.tenant
  return { tenant, ...loadDocument(load, nowAt), paused: load.paused, limits: limitsOf(tenant, policy.config) }
}

/** The scheduler's name for it (request/right.ts). */
const NOBODY = '-'

function limitsOf(tenant: string | null, config: House['policy']['config']): TenantQueue['limits'] {
  const settings = tenant === null ? undefined : tenantSettings(config, tenant)
  if (!settings) return null
  const { weight, maxConcurrentQueries, softConcurrentQueries, maxQueueSize } = settings
  return { weight, maxConcurrentQueries, softConcurrentQueries, maxQueueSize }
}

/** Who waits most stands first. */
const byNeed = (a: TenantQueue, b: TenantQueue): number =>
  waitingIn(b) - waitingIn(a) || b.running - a.running || ((a.tenant ?? '') < (b.tenant ?? '') ? -1 : 1)
