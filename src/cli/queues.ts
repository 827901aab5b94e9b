import { parseArgs } from 'node:util'
import { ADMIN, ADMIN_FLAGS, adminPlace, callAdmin } from './admin-client.ts'
import { say } from './output.ts'
import { age, table, type Value } from './table.ts'
import type { Verb } from './verb.ts'

export interface Load {
  running: number
  waiting: { interactive: number; default: number; batch: number }
  oldestSeconds: number | null
}

interface Queues {
  tenants: (Load & {
    tenant: string | null
    paused: boolean
    limits: { weight: number; maxConcurrentQueries: number; maxQueueSize: number } | null
  })[]
  upstreams: {
    name: string
    breaker: string
    retryAt: string | null
    waitUntilAt: string | null
    room: number | null
    maxConcurrentQueries: number | null
  }[]
  totals: Load
  truncated: boolean
}

export const queuesVerb: Verb = {
  about: 'shows what waits and what runs, per tenant, and whether the upstreams may be asked',
  usage: 'sluice queues [--admin URL] [--json]',
  flags: ADMIN_FLAGS,
  example: 'sluice queues                                  # who waits most stands first',
  shows: `TENANT  RUNNING  OF  INTERACTIVE  DEFAULT  BATCH  OF   OLDEST  WEIGHT  STATE
acme          4   4            0       20     96  200  3m12s        1
globex        1  16            2        0      0  100  0s           4  paused
total         5                2       20     96       3m12s

UPSTREAM  BREAKER  ROOM  WIDTH  AGAIN IN
main      open        0     32  12s`,
  async run(args) {
    const { values } = parseArgs({ args, options: ADMIN })
    const queues = (await callAdmin(adminPlace(values), 'GET', '/admin/v1/queues')) as Queues
    say(values.json ? JSON.stringify(queues) : told(queues, Date.now()))
    return 0
  },
}

/** How long the first of a line has waited. */
export const oldest = ({ oldestSeconds }: Load): string | null =>
  oldestSeconds === null ? null : age(oldestSeconds * 1_000)

const TENANTS = [...['TENANT', 'RUNNING', 'OF', 'INTERACTIVE', 'DEFAULT', 'BATCH', 'OF', 'OLDEST', 'WEIGHT'], 'STATE']
const UPSTREAMS = ['UPSTREAM', 'BREAKER', 'ROOM', 'WIDTH', 'AGAIN IN']

function told({ tenants, upstreams, totals, truncated }: Queues, nowAt: number): string {
  const rows = tenants.map((one): Value[] => [
    ...[one.tenant ?? '(nobody)', one.running, one.limits?.maxConcurrentQueries ?? null],
    ...[one.waiting.interactive, one.waiting.default, one.waiting.batch, one.limits?.maxQueueSize ?? null],
    ...[oldest(one), one.limits?.weight ?? null, one.paused ? 'paused' : ''],
  ])
  const { interactive, default: ordinary, batch } = totals.waiting
  const total: Value[] = ['total', totals.running, null, interactive, ordinary, batch, null, oldest(totals), null, '']
  const more = truncated ? `\nand more tenants than these ${tenants.length}` : ''
  const upstreamRows = upstreams.map((one): Value[] => [
    ...[one.name, one.breaker, one.room, one.maxConcurrentQueries],
    againIn([one.retryAt, one.waitUntilAt], nowAt),
  ])
  return `${table(TENANTS, [...rows, total])}${more}\n\n${table(UPSTREAMS, upstreamRows)}`
}

/** The later of the two instants; null: it may be asked now. */
function againIn(instants: readonly (string | null)[], nowAt: number): string | null {
  const lateMs = Math.max(...instants.map((at) => (at === null ? 0 : Date.parse(at) - nowAt)))
  return lateMs > 0 ? age(lateMs) : null
}
