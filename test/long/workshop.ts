import { systemClock } from '../../src/kernel/clock.ts'
import { RedisStore } from '../../src/kernel/redis/store.ts'
import { RedisScheduler } from '../../src/queue/scheduler.redis.ts'
import type { Claimed, ClaimWish, Door, JobOrder, TenantLimits } from '../../src/queue/scheduler.ts'
import type { Done } from '../../src/queue/work.ts'
import { Pool } from '../../src/workers/pool.ts'

export const UPSTREAM = 'db'
export const OPEN: Door = { rate: null, shadow: { rate: false, queue: false } }
export const WIDE: TenantLimits = { weight: 1, hard: 1_000, soft: 1_000, maxQueue: 1_000_000, paused: false }

/** Asked at a time, where many are asked. */
const IN_FLIGHT = 100

/**
 * The real scheduler on a real Redis, and the real pool, in this process; what a job does is a stub. For figures of the
 * order itself, in which gateways, sockets and an upstream would only be noise.
 */
export class Workshop implements AsyncDisposable {
  readonly store: RedisStore
  readonly scheduler: RedisScheduler
  readonly #width: number
  #made = 0
  #pool: Pool | undefined

  private constructor(url: string, width: number) {
    this.store = new RedisStore({ url, keyPrefix: 'sluice:', commandTimeoutMs: 2_000 })
    this.scheduler = new RedisScheduler({ store: this.store })
    this.#width = width
  }

  /** @param width of the one upstream, and jobs at a time */
  static async open(url: string, width: number): Promise<Workshop> {
    const workshop = new Workshop(url, width)
    await workshop.store.firstContact(5_000)
    return workshop
  }

  wish(want: number): ClaimWish {
    const { process } = this.store
    return { process, want, upstreams: [{ name: UPSTREAM, width: this.#width, allow: 1_000_000, avoid: [] }] }
  }

  order(tenant: string, some: Partial<JobOrder> = {}): JobOrder {
    return {
      ...{
        id: `job_${String(++this.#made).padStart(8, '0')}`,
        tenant,
        upstream: UPSTREAM,
        route: 'r',
        class: 'default',
      },
      ...{ width: this.#width, principal: 'p', payload: Buffer.from('{}'), keepsPayload: false },
      ...{ queueMs: 3_600_000, keepMs: 3_600_000, idempotency: null, replicated: false },
      ...some,
    }
  }

  async submit(tenant: string, limits = WIDE, some: Partial<JobOrder> = {}): Promise<string> {
    const told = await this.scheduler.submit(this.order(tenant, some), limits, OPEN)
    if (told.kind !== 'queued') throw new Error(`a submission of ${tenant} was ${told.kind}`)
    return told.record.id
  }

  /** Starts the pool. @param work what a job does; its time is its service */
  work(work: (claimed: Claimed) => Promise<void>): void {
    const run = async ({ claimed }: { claimed: Claimed }): Promise<Done> => {
      const startedAt = performance.now()
      await work(claimed)
      const ending = { how: 'succeeded', result: Buffer.from('rows') } as const
      return { ending, servedMs: performance.now() - startedAt, settled: () => {} }
    }
    this.#pool = new Pool({
      ...{ scheduler: this.scheduler, clock: systemClock, run, onGiven: () => {}, onEnd: () => {} },
      concurrency: () => this.#width,
      wish: (want) => this.wish(want),
    })
    this.#pool.start()
  }

  async rest(): Promise<void> {
    await this.#pool?.drain(5_000)
    this.#pool = undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rest()
    await this.scheduler.close()
    await this.store[Symbol.asyncDispose]()
  }
}

/** Does it `count` times, so many at a time. */
export async function many(count: number, once: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0
  const go = async () => {
    while (next < count) await once(next++)
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, go))
}
