/**
 * The processes behind one gateway, and who looks after them: the first process, which has the admin port and serves
 * nothing itself.
 *
 *   born ──start──> opening ──open──> serving ──spent──> (a fresh one is forked and opens) ──retire──> leaving ──> gone
 *     └────────── died: mourned, and after a while another one is born ──────────┘
 *
 * `count` of them serve. One that is spent goes only once its replacement serves, and one at a time, so that there is
 * never more than one too many. One that dies is replaced later and later, so that a fault at start is no fork bomb.
 */
import cluster from 'node:cluster'
import type { Config } from '../config/schema.ts'
import type { Role } from '../gateway.ts'
import type { Log } from '../telemetry/log.ts'
import { type End, Member } from './member.ts'
import type { Answers, Order, Question, Report } from './orders.ts'
import { Departed, type MetricJson } from './totals.ts'

const BACKOFF = { firstMs: 250, maxMs: 30_000, healthyAfterMs: 60_000 }

export interface CrewOptions {
  count: number
  role: Role
  config: Config
  log: Log
}

export class Crew {
  readonly #options: CrewOptions
  readonly #members = new Set<Member>()
  readonly #spent = new Set<Member>()
  readonly #departed = new Departed()
  #config: Config
  #deaths = 0
  #isReplacing = false
  #draining = false

  constructor(options: CrewOptions) {
    this.#options = options
    this.#config = options.config
    cluster.setupPrimary({ serialization: 'advanced' }) // a config may hold what JSON cannot say
  }

  get draining(): boolean {
    return this.#draining
  }

  /** Resolves with the port once all serve; null where they have no data door. */
  async start(): Promise<number | null> {
    const ports = await Promise.all(Array.from({ length: this.#options.count }, () => this.#fork().opened))
    return ports[0]!
  }

  #fork(): Member {
    const member: Member = new Member(cluster.fork(), (report) => this.#hear(member, report))
    this.#members.add(member)
    void member.ended.then((end) => this.#lost(member, end))
    return member
  }

  /** All start by the first config, whatever may not change live in it included, and then take over what did change. */
  #hear(member: Member, { kind }: Report): void {
    const { config, role } = this.#options
    if (kind === 'born') member.tell({ kind: 'start', config, role })
    else if (kind === 'spent') this.#replaceSoon(member)
    else if (kind === 'open' && this.#draining) member.tell({ kind: 'drain' })
    else if (kind === 'open' && this.#config !== config) member.tell({ kind: 'reload', config: this.#config })
  }

  #lost(member: Member, end: End): void {
    this.#members.delete(member)
    this.#spent.delete(member)
    this.#departed.add(member.counted)
    if (!this.#draining && !member.isLeaving) this.#mourn(member, end)
  }

  #mourn({ pid, ageMs }: Member, { code, signal }: End): void {
    if (ageMs > BACKOFF.healthyAfterMs) this.#deaths = 0
    const delayMs = this.#backoffMs
    this.#deaths++
    this.#options.log.error({ died: pid, code, signal, delayMs }, 'a process died; another one takes its place')
    setTimeout(() => this.#fill(), delayMs).unref()
  }

  get #backoffMs(): number {
    return Math.min(BACKOFF.maxMs, BACKOFF.firstMs * 2 ** this.#deaths)
  }

  #fill(): void {
    const staying = [...this.#members].filter(({ isLeaving }) => !isLeaving)
    if (!this.#draining && staying.length < this.#options.count) this.#fork()
  }

  #replaceSoon(member: Member): void {
    this.#spent.add(member)
    if (!this.#isReplacing) void this.#replaceAll()
  }

  async #replaceAll(): Promise<void> {
    this.#isReplacing = true
    for (const member of this.#spent) await this.#replace(member)
    this.#isReplacing = false
  }

  async #replace(spent: Member): Promise<void> {
    const fresh = await this.#freshFor(spent)
    this.#spent.delete(spent)
    if (!fresh || this.#draining) return
    const { log } = this.#options
    log.info({ replaced: spent.pid, by: fresh.pid }, 'a process has done its share; a fresh one has taken its place')
    spent.isLeaving = true
    spent.tell({ kind: 'retire' })
    this.#fill() // another one may have died while there was one too many
    await spent.ended
  }

  /** Null when the spent one died meanwhile, and was replaced for that. */
  async #freshFor(spent: Member): Promise<Member | null> {
    await spent.opened.catch(() => {}) // its jobs may have run before its doors were open; it hears nothing until then
    while (this.#members.has(spent) && !this.#draining) {
      const fresh = this.#fork()
      const isOpen = await fresh.opened.then(
        () => true,
        () => false,
      )
      if (isOpen) return this.#members.has(spent) ? fresh : null
      await new Promise((resolve) => setTimeout(resolve, this.#backoffMs).unref())
    }
    return null
  }

  /** Those that serve now, one answer each. Rejects when one of them hangs. */
  async ask<W extends Question['what']>(question: Extract<Question, { what: W }>): Promise<Answers[W][]> {
    const answering = [...this.#members].filter(({ isAnswering }) => isAnswering)
    const answers = await Promise.all(answering.map((member) => member.ask(question)))
    return answers.filter((answer) => answer !== null)
  }

  /** Of each that lives, and what those that have ended had counted. Rejects when one of them hangs. */
  async metrics(): Promise<(readonly MetricJson[])[]> {
    const departed = this.#departed.metrics // as it stands now: who ends while it is asked still stands for itself
    const told = [...this.#members].map(
      async (member) => (member.isAnswering ? await member.ask({ what: 'metrics' }) : null) ?? member.counted,
    )
    return [departed, ...(await Promise.all(told))]
  }

  reload(config: Config): void {
    this.#config = config
    this.#tell({ kind: 'reload', config })
  }

  #tell(order: Order): void {
    for (const member of this.#members) member.tell(order)
  }

  async drain(): Promise<void> {
    this.#draining = true
    this.#tell({ kind: 'drain' })
    await Promise.all([...this.#members].map(({ ended }) => ended))
  }
}
