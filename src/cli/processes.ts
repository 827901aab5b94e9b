import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { AggregatorRegistry, Registry } from 'prom-client'
import type { Config } from '../config/schema.ts'
import { type Gateway, openGateway, urlHost } from '../gateway.ts'
import { createLog, type Log, type LogParts } from '../telemetry/log.ts'
import { takeOver } from './reload.ts'

/** A process that dies young is restarted later and later, so that a fault at start does not become a fork bomb. */
const BACKOFF = { firstMs: 250, maxMs: 30_000, healthyAfterMs: 60_000 }

/**
 * Messages from the first process to the others. They get the config from it and never read the file: whoever is born
 * while the file is being edited, or is not valid, must run by what all the others run by.
 */
type Order = { kind: 'start' | 'reload'; config: Config } | { kind: 'drain' }

/** What they say to it: that they listen for orders, and later that they serve. */
type Report = { kind: 'born' } | { kind: 'open'; port: number }

/** Several processes behind one data port: this one has the admin port and looks after the others. */
export async function openProcesses(config: Config, { log, writeLine }: LogParts): Promise<Gateway> {
  const { processes } = config.server
  const count = processes === 'auto' ? availableParallelism() : processes
  const aggregator = new AggregatorRegistry()
  const own = new Registry()
  const crew = new Crew(count, config, log)
  const metricsPage = {
    contentType: aggregator.contentType,
    metrics: () => aggregator.clusterMetrics(),
  }
  const gateway = await openGateway(config, {
    log,
    writeLine,
    registry: own,
    doors: { data: false, admin: true },
    metricsPage,
    isDraining: () => crew.draining,
  })
  const port = await crew.start()
  return {
    url: `http://${urlHost(config.server.host)}:${port}`,
    adminUrl: gateway.adminUrl,
    reload: async (next) => {
      const needRestart = await gateway.reload(next)
      crew.reload(next)
      return needRestart
    },
    [Symbol.asyncDispose]: async () => {
      await crew.drain()
      await gateway[Symbol.asyncDispose]()
    },
  }
}

class Crew {
  readonly #count: number
  readonly #log: Log
  readonly #first: Config
  #current: Config
  #deaths = 0
  #draining = false

  constructor(count: number, config: Config, log: Log) {
    this.#count = count
    this.#log = log
    this.#first = config
    this.#current = config
    cluster.setupPrimary({ serialization: 'advanced' }) // a config may hold what JSON cannot say
  }

  get draining(): boolean {
    return this.#draining
  }

  /** Resolves with the port once all have opened it. */
  async start(): Promise<number> {
    const ports = await Promise.all(Array.from({ length: this.#count }, () => ready(this.#fork())))
    return ports[0]!
  }

  #fork(): Worker {
    const worker = cluster.fork()
    const bornAt = Date.now()
    worker.on('exit', (code, signal) => this.#mourn(worker, bornAt, code, signal))
    worker.on('message', (report: Report) => this.#hear(worker, report))
    return worker
  }

  /** All start by the first config, whatever may not change live in it included, and then take over what did change. */
  #hear(worker: Worker, { kind }: Report): void {
    if (kind === 'born') order(worker, { kind: 'start', config: this.#first })
    if (kind !== 'open') return
    if (this.#draining) order(worker, { kind: 'drain' })
    else if (this.#current !== this.#first) order(worker, { kind: 'reload', config: this.#current })
  }

  #mourn(worker: Worker, bornAt: number, code: number, signal: string): void {
    if (this.#draining) return
    if (Date.now() - bornAt > BACKOFF.healthyAfterMs) this.#deaths = 0
    const delayMs = Math.min(BACKOFF.maxMs, BACKOFF.firstMs * 2 ** this.#deaths++)
    this.#log.error({ died: worker.process.pid, code, signal, delayMs }, 'a process died; another one takes its place')
    setTimeout(() => {
      if (!this.#draining) this.#fork()
    }, delayMs).unref()
  }

  reload(config: Config): void {
    this.#current = config
    this.#tell({ kind: 'reload', config })
  }

  #tell(what: Order): void {
    for (const worker of Object.values(cluster.workers ?? {})) if (worker) order(worker, what)
  }

  async drain(): Promise<void> {
    this.#draining = true
    const workers = Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined)
    const gone = workers.map((worker) => once(worker, 'exit'))
    this.#tell({ kind: 'drain' })
    await Promise.all(gone)
  }
}

/** One that has just died is mourned by its `exit`; that it cannot be written to is no news. */
function order(worker: Worker, what: Order): void {
  if (worker.isConnected()) worker.send(what, () => {})
}

async function ready(worker: Worker): Promise<number> {
  return new Promise((resolve, reject) => {
    worker.once('exit', (code) => reject(new Error(`a process ended with ${code} before it was ready`)))
    worker.on('message', (report: Report) => {
      if (report.kind === 'open') resolve(report.port)
    })
  })
}

/** One of several processes: the data port only, told what to do by the first one. */
export async function runWorker(): Promise<number> {
  const config = await firstOrder()
  const { log, writeLine } = createLog({ level: config.telemetry.logLevel })
  const registry = new Registry()
  AggregatorRegistry.setRegistries([registry])
  new AggregatorRegistry() // its constructor is what listens for the first process's question
  const gateway = await openGateway(config, { log, writeLine, registry, doors: { data: true, admin: false } })
  process.on('SIGINT', () => {}) // a terminal's Ctrl-C reaches all of us; the first process says when
  const drain = new Promise<void>((resolve) => {
    process.on('message', (order: Order) => {
      if (order.kind === 'reload') void takeOver(() => order.config, gateway, log)
      if (order.kind === 'drain') resolve()
    })
    process.on('disconnect', resolve) // the first process is gone: nobody would restart or drain us
    process.on('SIGTERM', resolve)
  })
  report({ kind: 'open', port: Number(new URL(gateway.url!).port) })
  await drain
  await gateway[Symbol.asyncDispose]()
  log.flush()
  process.exit(0)
}

const report = (what: Report): void => void process.send!(what)

function firstOrder(): Promise<Config> {
  return new Promise((resolve) => {
    const take = (order: Order) => {
      if (order.kind !== 'start') return
      process.off('message', take)
      resolve(order.config)
    }
    process.on('message', take)
    report({ kind: 'born' })
  })
}
