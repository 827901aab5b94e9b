import { CLASSES, type Class, type Scheduler, type TenantLoad } from '../queue/scheduler.ts'

/** Tenants with work that one answer tells of at most. */
export const MAX_TENANTS = 1_000

/** What of a tenant runs and waits, over all processes. */
export interface LoadDocument {
  running: number
  waiting: Record<Class, number>
  /** How long the first of those that wait has waited; null: nobody waits. */
  oldestSeconds: number | null
}

/** `truncated`: more tenants have work than are told of. */
export async function busyTenants(scheduler: Scheduler): Promise<{ tenants: string[]; truncated: boolean }> {
  const tenants = new Set<string>()
  let cursor = '0'
  do {
    const page = await scheduler.tenants(cursor)
    for (const tenant of page.tenants) tenants.add(tenant)
    cursor = page.cursor
  } while (cursor !== '0' && tenants.size <= MAX_TENANTS)
  return { tenants: [...tenants].slice(0, MAX_TENANTS), truncated: tenants.size > MAX_TENANTS || cursor !== '0' }
}

export function loadDocument({ running, depth, oldestAt }: TenantLoad, nowAt: number): LoadDocument {
  const waiting = Object.fromEntries(CLASSES.map((name, at) => [name, depth[at]])) as Record<Class, number>
  const oldestSeconds = oldestAt === null ? null : Math.round(Math.max(0, nowAt - oldestAt)) / 1_000
  return { running, waiting, oldestSeconds }
}

export const waitingIn = ({ waiting }: Pick<LoadDocument, 'waiting'>): number =>
  CLASSES.reduce((sum, name) => sum + waiting[name], 0)

/** The sum of several; the oldest of all. */
export function totalOf(loads: readonly LoadDocument[]): LoadDocument {
  const sum = (count: (load: LoadDocument) => number) => loads.reduce((total, load) => total + count(load), 0)
  const ages = loads.map(({ oldestSeconds }) => oldestSeconds).filter((age) => age !== null)
  return {
    running: sum(({ running }) => running),
    waiting: Object.fromEntries(CLASSES.map((name) => [name, sum(({ waiting }) => waiting[name])])) as Record<
      Class,
      number
    >,
    oldestSeconds: ages.length > 0 ? ages.reduce((a, b) => Math.max(a, b)) : null,
  }
}
