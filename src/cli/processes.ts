import { availableParallelism } from 'node:os'
import { Registry } from 'prom-client'
import type { Config } from '../config/schema.ts'
import { type Gateway, openGateway, type Role, urlHost } from '../gateway.ts'
import { createLog, type LogParts } from '../telemetry/log.ts'
import { combined, type Desk } from '../upstream/desk.ts'
import { Crew } from './crew.ts'
import type { Order, Question, Report } from './orders.ts'
import { takeOver } from './reload.ts'
import { addedUp } from './totals.ts'

/** Whether there must be somebody to take a process's place: several share the port, or they are to be replaced in time. */
export const needsCrew = (config: Config, role: Role): boolean =>
  config.server.processes !== 1 || (role !== 'gateway' && recyclings(config).length > 0)

/** The settings by which a process that has run enough is replaced. */
export const recyclings = ({ workers }: Config): string[] =>
  (['maxJobsPerProcess', 'maxMemory'] as const).filter((name) => workers[name] > 0).map((name) => `workers.${name}`)

/** Several processes behind one data port: this one has the admin port, looks after the others, and runs no jobs. */
export async function openProcesses(config: Config, role: Role, { log, writeLine }: LogParts): Promise<Gateway> {
  const { processes } = config.server
  const count = processes === 'auto' ? availableParallelism() : processes
  const own = new Registry()
  const crew = new Crew({ count, role, config, log })
  const desk: Desk = deskOf(crew, () => gateway.desk)
  const gateway: Gateway = await openGateway(config, {
    ...{ log, writeLine, registry: own, role: 'gateway', doors: { data: false, admin: true } },
    metricsPage: {
      contentType: own.contentType,
      // Jobs that ended in the line, or by an operator's hand, were counted here.
      metrics: async () => addedUp([...(await crew.metrics()), await own.getMetricsAsJSON()]).metrics(),
    },
    isDraining: () => crew.draining,
    desk,
  })
  const port = await crew.start()
  return {
    url: port === null ? null : `http://${urlHost(config.server.host)}:${port}`,
    adminUrl: gateway.adminUrl,
    desk,
    retire: () => gateway.retire(),
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

/** @param own this process's, which asks nothing: it speaks when no other one does */
const deskOf = (crew: Crew, own: () => Desk): Desk => ({
  async views() {
    const seen = await crew.ask({ what: 'upstreams' })
    return seen.length > 0 ? combined(seen) : own().views()
  },
  setBreaker: async (name, state) => void (await crew.ask({ what: 'breaker', name, state })),
})

/** One of several processes: told what to do by the first one. */
export async function runMember(): Promise<number> {
  const { config, role } = await firstOrder()
  const { log, writeLine } = createLog({ level: config.telemetry.logLevel })
  const registry = new Registry()
  const gateway = await openGateway(config, {
    ...{ log, writeLine, registry, role, doors: { data: role !== 'worker', admin: false } },
    onSpent: once(() => report({ kind: 'spent' })),
  })
  process.on('SIGINT', () => {}) // a terminal's Ctrl-C reaches all of us; the first process says when
  const drain = new Promise<void>((resolve) => {
    process.on('message', (order: Order) => {
      if (order.kind === 'reload') void takeOver(() => order.config, gateway, log)
      if (order.kind === 'retire') void gateway.retire().then(resolve)
      if (order.kind === 'drain') resolve()
      if (order.kind === 'ask') void answer(order.n, order.question, gateway, registry)
    })
    process.on('disconnect', resolve) // the first process is gone: nobody would restart or drain us
    process.on('SIGTERM', resolve)
  })
  report({ kind: 'open', port: gateway.url === null ? null : Number(new URL(gateway.url).port) })
  await drain
  await gateway[Symbol.asyncDispose]()
  log.flush()
  await report({ kind: 'farewell', metrics: await registry.getMetricsAsJSON() })
  process.exit(0)
}

async function answer(n: number, question: Question, gateway: Gateway, registry: Registry): Promise<void> {
  await report({ kind: 'answer', n, answer: await answerTo(question, gateway, registry) })
}

function answerTo(question: Question, { desk }: Gateway, registry: Registry): Promise<unknown> {
  if (question.what === 'metrics') return registry.getMetricsAsJSON()
  if (question.what === 'upstreams') return desk.views()
  return desk.setBreaker(question.name, question.state).then(() => true)
}

/** Resolves when it is on its way; also when nobody is left to hear it. */
const report = (what: Report): Promise<void> =>
  new Promise((resolve) => {
    if (process.connected) process.send!(what, undefined, undefined, () => resolve())
    else resolve()
  })

function once(act: () => void): () => void {
  let isDone = false
  return () => {
    if (!isDone) act()
    isDone = true
  }
}

function firstOrder(): Promise<Order & { kind: 'start' }> {
  return new Promise((resolve) => {
    const take = (order: Order) => {
      if (order.kind !== 'start') return
      process.off('message', take)
      resolve(order)
    }
    process.on('message', take)
    void report({ kind: 'born' })
  })
}
