/** For the tests of the embedded scheduler: a file of its own, orders to put in it, and what becomes of it without a farewell. */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { TestContext } from 'node:test'
import { ManualClock } from '../kernel/clock.manual.ts'
import { type Clock, systemClock } from '../kernel/clock.ts'
import { SqliteScheduler } from './scheduler.sqlite.ts'
import type { Claimed, ClaimWish, Door, Ending, JobOrder, TenantLimits } from './scheduler.ts'

export const LIMITS: TenantLimits = { weight: 1, hard: 1_000, soft: 1_000, maxQueue: 100_000, paused: false }
export const OPEN: Door = { rate: null, shadow: { rate: false, queue: false } }
export const QUEUE_MS = 60_000
export const KEEP_MS = 90_000

/** Where a database may be, in a directory that is not there yet; it goes with the test. */
export function place(t: TestContext): string {
  const root = mkdtempSync(join(tmpdir(), 'sluice-queue-'))
  t.after(() => rmSync(root, { recursive: true }))
  return join(root, 'data', 'jobs.sqlite')
}

export const openAt = (file: string, clock: Clock = systemClock, synchronous: 'full' | 'normal' = 'normal') =>
  new SqliteScheduler({ clock, file, synchronous, limitsOf: () => LIMITS })

export const orderOf = (id: string, some: Partial<JobOrder> = {}): JobOrder => ({
  ...{ id, tenant: 'ann', upstream: 'db', route: 'r', class: 'default', width: 1_000, principal: 'p' },
  ...{ payload: Buffer.from(`work of ${id}`), keepsPayload: true, queueMs: QUEUE_MS, keepMs: KEEP_MS },
  ...{ idempotency: null, replicated: false },
  ...some,
})

export const wish = (want: number): ClaimWish => {
  return { process: 'here', want, upstreams: [{ name: 'db', width: 1_000, allow: 1_000, avoid: [] }] }
}

/** The files as the machine would find them if it stopped now; its log is cut or grown by what a power cut does to it. */
export function leaveBehind(t: TestContext, file: string, log: (path: string) => void = () => {}): string {
  const copy = place(t)
  mkdirSync(dirname(copy))
  copyFileSync(file, copy)
  if (existsSync(`${file}-wal`)) copyFileSync(`${file}-wal`, `${copy}-wal`)
  log(`${copy}-wal`)
  return copy
}

/** Rows of each table of a database that nobody has open. */
export function rowsOf(file: string): Record<'job' | 'payload' | 'result', number> {
  const database = new DatabaseSync(file)
  const count = (table: string) => database.prepare(`SELECT count(*) AS rows FROM ${table}`).get()!.rows as number
  const rows = { job: count('job'), payload: count('payload'), result: count('result') }
  database.close()
  return rows
}

export const DONE: Ending = { how: 'succeeded', result: Buffer.from('rows') }

/** A scheduler with a clock held by hand, and the words of its cases. */
export const setup = (t: TestContext) => {
  const clock = new ManualClock()
  const file = place(t)
  const opened: SqliteScheduler[] = []
  const open = (at = file) => {
    opened.push(openAt(at, clock))
    return opened.at(-1)!
  }
  t.after(() => Promise.all(opened.map((scheduler) => scheduler.close())))
  const scheduler = open()
  const submit = (id: string, some: Partial<JobOrder> = {}) => scheduler.submit(orderOf(id, some), LIMITS, OPEN)
  const claim = async (want = 1, from = scheduler) => (await from.claim(wish(want))).claimed
  const finish = ({ id, tenant, fence }: Claimed, ending: Ending = DONE, from = scheduler) =>
    from.finish({ id, tenant, fence, ending, servedMs: 100 }, wish(0))
  /** The process ends without a farewell, and another finds what it had written. */
  const crash = () => open(leaveBehind(t, file))
  return { clock, file, open, scheduler, submit, claim, finish, crash }
}
