import { startOrigin } from '../support/origin.ts'

/** What the body of every job and query of these tests says. */
export interface Task {
  n: number
  tenant: string
  /** How long the upstream shall take for it. */
  ms: number
}

/** An upstream that keeps count: how often each task was executed, and how many of a tenant at once. */
export interface OriginOfJobs extends AsyncDisposable {
  readonly url: string
  /** By task number. */
  readonly executions: ReadonlyMap<number, number>
  /** The most that ran at once, by tenant. */
  readonly peaks: ReadonlyMap<string, number>
  readonly total: number
  readonly running: number
}

export async function startOriginOfJobs(): Promise<OriginOfJobs> {
  const executions = new Map<number, number>()
  const running = new Map<string, number>()
  const peaks = new Map<string, number>()
  let total = 0
  const add = (tenant: string, one: 1 | -1) => {
    const count = (running.get(tenant) ?? 0) + one
    running.set(tenant, count)
    peaks.set(tenant, Math.max(peaks.get(tenant) ?? 0, count))
  }
  const origin = await startOrigin((req, res) => {
    const { n, tenant, ms } = JSON.parse(req.body) as Task
    executions.set(n, (executions.get(n) ?? 0) + 1)
    total++
    add(tenant, 1)
    const done = setTimeout(() => res.end(JSON.stringify({ n })), ms)
    res.on('close', () => {
      clearTimeout(done)
      add(tenant, -1)
    })
    origin.seen.length = 0 // counted here already
  })
  return {
    url: origin.url,
    executions,
    peaks,
    get total() {
      return total
    },
    get running() {
      return [...running.values()].reduce((sum, count) => sum + count, 0)
    },
    [Symbol.asyncDispose]: () => origin[Symbol.asyncDispose](),
  }
}
