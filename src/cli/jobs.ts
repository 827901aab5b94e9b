import { parseArgs } from 'node:util'
import { ADMIN, ADMIN_FLAGS, type AdminPlace, adminPlace, callAdmin } from './admin-client.ts'
import { complain, Refused, say, UsageError } from './output.ts'
import { age, outline, table, type Value } from './table.ts'
import type { Verb } from './verb.ts'

/** What the admin API says of a job, as far as it is shown in a table. */
interface Job {
  id: string
  tenant: string
  status: string
  route: string
  class: string
  submittedAt: string
  startedAt: string | null
  finishedAt: string | null
  attempt: number
  position: number | null
  error: { code: string } | null
}

interface Page {
  jobs: Job[]
  nextCursor: string | null
}

const STATUSES = ['queued', 'running', 'succeeded', 'failed', 'cancelled', 'expired']
const LIMIT = 100
/** The admin API gives no more at a time. */
const MAX_PAGE = 1_000

export const jobsVerb: Verb = {
  about: "shows every tenant's jobs, and cancels, repeats or forgets one",
  usage: `sluice jobs list [--tenant T] [--status S] [--dead] [--limit N] [--admin URL] [--json]
       sluice jobs show | cancel | retry | drop ID [--tenant T] [--admin URL] [--json]`,
  flags: `  --tenant T      that tenant's only; with an ID: where to look for it
  --status S      ${STATUSES.join(', ')}
  --dead          those that were given up, because each worker that ran them was lost
  --limit N       so many at most (default: ${LIMIT}), the newest first
  retry           one that failed or expired once more, where what it needs was kept
  drop            forgets one that has ended, with its result
${ADMIN_FLAGS}`,
  example: 'sluice jobs list --tenant acme --status failed   # then: sluice jobs retry ID',
  shows: `ID                              TENANT  STATUS  ROUTE   CLASS  AGE    TOOK  TRY  ERROR
job_01KAVQ2M7T3V0S8Z1C5Y4E9RWD  acme    failed  report  batch  3m12s  41s     2  UPSTREAM_STATUS`,
  async run([what = '', ...args]) {
    if (what === 'list') return list(args)
    const act = Object.hasOwn(ACTS, what) ? ACTS[what] : undefined
    if (!act) throw new UsageError(`jobs wants list, ${Object.keys(ACTS).join(', ')}\nusage: ${jobsVerb.usage}`)
    return one(what, act, args)
  },
}

async function list(args: string[]): Promise<number> {
  const options = { tenant: { type: 'string' }, status: { type: 'string' }, dead: { type: 'boolean' } } as const
  const { values } = parseArgs({ args, options: { ...ADMIN, ...options, limit: { type: 'string' } } })
  const { tenant, status, dead } = values
  if (status !== undefined && !STATUSES.includes(status))
    throw new UsageError(`--status ${status} is none (it is one of ${STATUSES.join(', ')})`)
  if (dead && status !== undefined) throw new UsageError('--dead and --status exclude each other')
  const wanted = { ...(tenant && { tenant }), ...(status && { status }), ...(dead && { dead: 'true' }) }
  const page = await collect(adminPlace(values), wanted, limitOf(values.limit))
  say(values.json ? JSON.stringify(page) : tableOf(page.jobs, Date.now()))
  if (page.nextCursor !== null && !values.json) complain('there are more; --limit N shows more of them')
  return 0
}

function limitOf(text: string | undefined): number {
  if (text === undefined) return LIMIT
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new UsageError(`--limit ${text} is no whole number from 1 to 999999`)
  return Number(text)
}

/** Pages may be short, so they are asked for until there are enough jobs, or no more. */
async function collect(place: AdminPlace, wanted: Record<string, string>, limit: number): Promise<Page> {
  const jobs: Job[] = []
  let nextCursor: string | null = null
  do {
    const cursor: Record<string, string> = nextCursor === null ? {} : { cursor: nextCursor }
    const query = new URLSearchParams({ ...wanted, ...cursor, limit: `${Math.min(limit - jobs.length, MAX_PAGE)}` })
    const page = (await callAdmin(place, 'GET', `/admin/v1/jobs?${query}`)) as Page
    jobs.push(...page.jobs)
    nextCursor = page.nextCursor
  } while (nextCursor !== null && jobs.length < limit)
  return { jobs, nextCursor }
}

const HEADINGS = ['ID', 'TENANT', 'STATUS', 'ROUTE', 'CLASS', 'AGE', 'TOOK', 'TRY', 'ERROR']

const tableOf = (jobs: readonly Job[], nowAt: number): string =>
  table(
    HEADINGS,
    jobs.map((job): Value[] => [
      ...[job.id, job.tenant, job.status, job.route, job.class],
      ...[age(nowAt - Date.parse(job.submittedAt)), tookOf(job, nowAt), job.attempt, job.error?.code ?? null],
    ]),
  )

function tookOf({ startedAt, finishedAt, status }: Job, nowAt: number): string | null {
  if (startedAt === null || status === 'queued') return null
  return age((finishedAt === null ? nowAt : Date.parse(finishedAt)) - Date.parse(startedAt))
}

interface Act {
  method: string
  /** What follows the job's path. */
  path: string
  /** What is said of it. Throws Refused where nothing came of it. */
  tell(job: Job, id: string): string
}

const ACTS: Record<string, Act> = {
  show: { method: 'GET', path: '', tell: (job) => outline(job) },
  cancel: {
    method: 'POST',
    path: '/cancel',
    tell({ status }, id) {
      if (status !== 'cancelled') throw new Refused(`${id} has ended already: it is ${status}`)
      return `${id} is cancelled`
    },
  },
  retry: {
    method: 'POST',
    path: '/retry',
    tell: ({ status, position }, id) => `${id} is ${status}${position === null ? '' : ` at position ${position}`}`,
  },
  drop: { method: 'DELETE', path: '', tell: (_, id) => `${id} is forgotten` },
}

async function one(what: string, { method, path, tell }: Act, args: string[]): Promise<number> {
  const options = { ...ADMIN, tenant: { type: 'string' } } as const
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
  const [id, ...others] = positionals
  if (id === undefined || others.length > 0) throw new UsageError(`jobs ${what} wants the ID of one job`)
  const query = values.tenant === undefined ? '' : `?${new URLSearchParams({ tenant: values.tenant })}`
  const place = `/admin/v1/jobs/${encodeURIComponent(id)}${path}${query}`
  const job = (await callAdmin(adminPlace(values), method, place)) as Job
  const told = tell(job, id)
  say(values.json ? JSON.stringify(job) : told)
  return 0
}
