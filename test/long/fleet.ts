import { setTimeout as pause } from 'node:timers/promises'
import { configFor, redisStore, upstream } from '../support/config.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'

type Settings = Record<string, unknown>

export interface FleetSettings {
  /** Jobs that each process runs at a time. */
  concurrency: number
  /** Of each tenant, over all processes. */
  tenant?: Settings
  upstream?: Settings
  /** What a queue route says of its jobs. */
  submit?: Settings
  results?: Settings
}

/** One queue route, POST /api/job, and one that is asked in place, POST /api/query; everybody's own credential is stripped. */
export function fleetConfig(originUrl: string, store: Settings, settings: FleetSettings): string {
  return configFor(originUrl, {
    store,
    upstreams: { main: upstream(originUrl, { credentials: 'strip', retries: { attempts: 1 }, ...settings.upstream }) },
    routes: [
      {
        ...{ name: 'job', match: { method: 'POST', path: '/api/job' }, mode: 'queue' },
        submit: { resultTtl: '10m', ...settings.submit },
      },
      { name: 'query', match: { method: 'POST', path: '/api/query' }, mode: 'cache', cache: { ttl: '1m' } },
    ],
    tenants: {
      unknown: 'default',
      default: { requestsPerMinute: 0, maxQueueSize: 100_000, maxQueueTime: '10m', ...settings.tenant },
    },
    workers: { concurrency: settings.concurrency },
    telemetry: { logLevel: 'info', accessLog: false },
    ...(settings.results && { results: settings.results }),
  })
}

/** Several gateway processes that share one store, some of which may be dead. */
export class Fleet implements AsyncDisposable {
  readonly #config: string
  readonly #members: (TestGateway | null)[]
  readonly #env: Record<string, string>
  #turn = 0

  private constructor(config: string, members: TestGateway[], env: Record<string, string>) {
    this.#config = config
    this.#members = members
    this.#env = env
  }

  static async start(count: number, config: string, env: Record<string, string> = {}): Promise<Fleet> {
    const started = await Promise.allSettled(Array.from({ length: count }, () => startGateway(config, env)))
    const fleet = new Fleet(
      config,
      started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])),
      env,
    )
    const failed = started.find((one) => one.status === 'rejected')
    if (!failed) return fleet
    await fleet[Symbol.asyncDispose]()
    throw failed.reason
  }

  get living(): TestGateway[] {
    return this.#members.filter((member) => member !== null)
  }

  /** A living one, another one each time; null while all are dead. */
  next(): TestGateway | null {
    const { living } = this
    return living[this.#turn++ % Math.max(1, living.length)] ?? null
  }

  /** SIGKILL, and a new process in its place, which needs a second or so to start. */
  async replace(nth: number): Promise<void> {
    const member = this.#members[nth]
    this.#members[nth] = null
    await member?.[Symbol.asyncDispose]() // SIGKILL
    this.#members[nth] = await startGateway(this.#config, this.#env)
  }

  /** The sum of a metric over all who live. */
  async metric(name: string, labels: Record<string, string> = {}): Promise<number> {
    const values = await Promise.all(this.living.map((member) => member.metric(name, labels)))
    return values.reduce((sum, value) => sum + value, 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.living.map((member) => member[Symbol.asyncDispose]()))
  }
}

export { pause, redisStore }
