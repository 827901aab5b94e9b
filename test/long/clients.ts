import { Agent } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { ask, type Reply, tokenFor } from '../support/client.ts'
import type { TestGateway } from '../support/gateway.ts'
import type { Task } from './origin-of-jobs.ts'

/** Between two tries of a submission that was refused or not answered, ms. */
const AGAIN_MS = 200

export interface Accepted {
  id: string
  task: Task
}

/** Whoever asks the fleet: any gateway that lives, and again with the same Idempotency-Key when that one does not answer. */
export class Clients implements Disposable {
  readonly #next: () => TestGateway | null
  readonly #tokens = new Map<string, Promise<string>>()
  readonly #agent = new Agent({ keepAlive: false })
  #stopped = false
  readonly accepted: Accepted[] = []
  /** Tries that were answered with something else than 202, by status; 0: not answered. */
  readonly refused = new Map<number, number>()

  constructor(next: () => TestGateway | null) {
    this.#next = next
  }

  /** Resolves with the job's id once it was accepted. */
  async submit(task: Task, headers: Record<string, string> = {}): Promise<string> {
    while (!this.#stopped) {
      const reply = await this.post('/api/job', task, { 'idempotency-key': `task ${task.n}`, ...headers })
      if (reply?.status === 202) {
        const { id } = JSON.parse(reply.body) as { id: string }
        this.accepted.push({ id, task })
        return id
      }
      const status = reply?.status ?? 0
      if (status !== 0 && status !== 503) throw new Error(`submission ${task.n}: ${status} ${reply!.body}`)
      this.refused.set(status, (this.refused.get(status) ?? 0) + 1)
      await pause(AGAIN_MS)
    }
    throw new Error('the test is over')
  }

  /** Nobody tries any more: so that a test that failed ends. */
  [Symbol.dispose](): void {
    this.#stopped = true
  }

  /** One request to whose turn it is; null: no answer. */
  async post(path: string, task: Task, headers: Record<string, string> = {}): Promise<Reply | null> {
    const gateway = this.#next()
    if (!gateway) return null
    const token = await this.#token(task.tenant)
    return ask(gateway.url, {
      ...{ method: 'POST', path, body: JSON.stringify(task), agent: this.#agent },
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    }).catch(() => null)
  }

  async get(path: string, tenant: string): Promise<Reply> {
    const token = await this.#token(tenant)
    return ask(this.#next()!.url, { path, headers: { authorization: `Bearer ${token}` } })
  }

  #token(tenant: string): Promise<string> {
    const token = this.#tokens.get(tenant) ?? tokenFor(tenant)
    this.#tokens.set(tenant, token)
    return token
  }
}
