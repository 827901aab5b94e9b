/**
 * `npm run demo:fairness`: what the scheduler is for, seen live. A heavy tenant has filed 400 reports; a light one opens a
 * dashboard tile now and then. The same work once under the scheduler and once in one line, first come first served.
 * The queries are waits of 50 ms; scheduler and worker pool are the gateway's own.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock } from '../src/kernel/clock.ts'
import { MemoryScheduler } from '../src/queue/scheduler.memory.ts'
import type { ClaimWish, Door, JobOrder, TenantLimits } from '../src/queue/scheduler.ts'
import { Pool } from '../src/workers/pool.ts'

const QUERY_MS = 50
const WORKERS = 4
const HEAVY_JOBS = 400
const SECONDS = 8
const LIGHT_EVERY_MS = 200

const LIMITS: TenantLimits = { weight: 1, hard: WORKERS, soft: WORKERS, maxQueue: 10_000, paused: false }
const OPEN: Door = { rate: null, shadow: { rate: false, queue: false } }

type Who = 'heavy' | 'light'

/** One world: its tenants stand in one fair order, or both in the line of one tenant. */
class World {
  readonly waits: Record<Who, number[]> = { heavy: [], light: [] }
  readonly #scheduler = new MemoryScheduler({ clock: systemClock })
  readonly #pool: Pool
  readonly #isFair: boolean
  readonly #filedAt = new Map<string, { who: Who; at: number }>()
  #made = 0

  constructor(isFair: boolean) {
    this.#isFair = isFair
    this.#pool = new Pool({
      ...{ scheduler: this.#scheduler, clock: systemClock, concurrency: () => WORKERS, wish: wishFor },
      run: async ({ claimed }) => {
        const { who, at } = this.#filedAt.get(claimed.id)!
        this.waits[who].push(performance.now() - at)
        await delay(QUERY_MS)
        return { ending: { how: 'succeeded', result: Buffer.from('{}') }, servedMs: QUERY_MS, settled: () => {} }
      },
      ...{ onGiven: () => {}, onEnd: () => {} },
    })
    this.#pool.start()
  }

  async file(who: Who): Promise<void> {
    const id = `job_${String(++this.#made).padStart(26, '0')}`
    this.#filedAt.set(id, { who, at: performance.now() })
    const order: JobOrder = {
      ...{
        id,
        tenant: this.#isFair ? who : 'everybody',
        upstream: 'db',
        route: 'report',
        class: 'default',
        width: WORKERS,
      },
      ...{ principal: who, payload: Buffer.from(who), keepsPayload: false, queueMs: 600_000, keepMs: 60_000 },
      ...{ idempotency: null, replicated: false },
    }
    await this.#scheduler.submit(order, LIMITS, OPEN)
  }

  close(): Promise<void> {
    return this.#pool.drain(0)
  }
}

const wishFor = (want: number): ClaimWish => ({
  process: 'demo',
  want,
  upstreams: [{ name: 'db', width: WORKERS, allow: WORKERS, avoid: [] }],
})

const seconds = (ms: number | undefined) => (ms === undefined ? '-' : `${(ms / 1_000).toFixed(2)} s`).padStart(7)
const say = (text: string) => void process.stdout.write(`${text}\n`)

async function main(): Promise<void> {
  say(
    `The heavy tenant has ${HEAVY_JOBS} reports in line; the light one opens a dashboard tile every ${LIGHT_EVERY_MS} ms.`,
  )
  say(`${WORKERS} workers, ${QUERY_MS} ms a query. How long the newest tile and the newest report had waited:\n`)
  say('         │ with the scheduler       │ in one line, first come first served')
  say('    time │   light       heavy      │   light       heavy')
  const worlds = [new World(true), new World(false)] as const
  for (const world of worlds) for (let n = 0; n < HEAVY_JOBS; n++) await world.file('heavy')
  const [fair, fifo] = worlds
  for (let tick = 1; tick <= (SECONDS * 1_000) / LIGHT_EVERY_MS; tick++) {
    for (const world of worlds) await world.file('light')
    await delay(LIGHT_EVERY_MS)
    if (tick % 5 === 0) say(`${seconds(tick * LIGHT_EVERY_MS)}  │ ${side(fair)} │ ${side(fifo)}`)
  }
  const worst = ({ waits }: World) => seconds(Math.max(...waits.light)).trim()
  say(`\nThe light tenant's longest wait: ${worst(fair)} with the scheduler, ${worst(fifo)} in one line.`)
  await Promise.all(worlds.map((world) => world.close()))
}

const side = ({ waits: { light, heavy } }: World): string =>
  `${seconds(light.at(-1))} (${`${light.length}`.padStart(2)}) ${seconds(heavy.at(-1))} (${`${heavy.length}`.padStart(3)})`

await main()
