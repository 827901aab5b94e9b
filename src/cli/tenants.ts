import { parseArgs } from 'node:util'
import { ADMIN, ADMIN_FLAGS, type AdminPlace, adminPlace, callAdmin } from './admin-client.ts'
import { say, UsageError } from './output.ts'
import { type Load, oldest } from './queues.ts'
import { outline, table, type Value } from './table.ts'
import type { Verb } from './verb.ts'

interface Tenant {
  tenant: string
  plan: string | null
  settings: { weight: number; maxConcurrentQueries: number; requestsPerMinute: number; maxQueueSize: number } | null
  load: Load & { paused: boolean }
}

interface Page {
  tenants: Tenant[]
  nextCursor: string | null
}

export const tenantsVerb: Verb = {
  about: 'shows the tenants, what each may do by the config, and what it has under way',
  usage: `sluice tenants list [--admin URL] [--json]
       sluice tenants show T [--admin URL] [--json]`,
  flags: ADMIN_FLAGS,
  example: 'sluice tenants list                            # sluice tenants show acme tells all its limits',
  shows: `TENANT  PLAN     WEIGHT  CONCURRENT  PER MINUTE  QUEUE  RUNNING  WAITING  OLDEST  STATE
acme    -             1           4         600    100        4       20  3m12s
globex  premium       4          16        1200    100        0        0  -       paused`,
  async run([what, ...args]) {
    if (what === 'list') return list(args)
    if (what === 'show') return show(args)
    throw new UsageError(`tenants wants list or show\nusage: ${tenantsVerb.usage}`)
  },
}

const PAGE = 1_000

async function list(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: ADMIN })
  const tenants = await collect(adminPlace(values))
  say(values.json ? JSON.stringify({ tenants }) : tableOf(tenants))
  return 0
}

async function collect(place: AdminPlace): Promise<Tenant[]> {
  const tenants: Tenant[] = []
  let cursor = ''
  for (;;) {
    const query = new URLSearchParams({ limit: `${PAGE}`, cursor })
    const page = (await callAdmin(place, 'GET', `/admin/v1/tenants?${query}`)) as Page
    tenants.push(...page.tenants)
    if (page.nextCursor === null) return tenants
    cursor = page.nextCursor
  }
}

const HEADINGS = [
  ...['TENANT', 'PLAN', 'WEIGHT', 'CONCURRENT', 'PER MINUTE', 'QUEUE', 'RUNNING', 'WAITING', 'OLDEST', 'STATE'],
]

const tableOf = (tenants: readonly Tenant[]): string =>
  table(
    HEADINGS,
    tenants.map(({ tenant, plan, settings, load }): Value[] => {
      const { interactive, default: ordinary, batch } = load.waiting
      return [
        ...[tenant, plan, settings?.weight ?? null, settings?.maxConcurrentQueries ?? null],
        ...[settings?.requestsPerMinute ?? null, settings?.maxQueueSize ?? null],
        ...[load.running, interactive + ordinary + batch, oldest(load), load.paused ? 'paused' : ''],
      ]
    }),
  )

async function show(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, options: ADMIN, allowPositionals: true })
  const [name, ...others] = positionals
  if (name === undefined || others.length > 0) throw new UsageError('tenants show wants the name of one tenant')
  const tenant = await callAdmin(adminPlace(values), 'GET', `/admin/v1/tenants/${encodeURIComponent(name)}`)
  say(values.json ? JSON.stringify(tenant) : outline(tenant))
  return 0
}
