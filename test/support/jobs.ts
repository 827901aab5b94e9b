import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JobDocument } from '../../src/request/document.ts'
import { ask, type Reply, type Wish } from './client.ts'
import { redisStore } from './config.ts'
import { startRedis, type TestRedis } from './redis.ts'

export type { JobDocument } from '../../src/request/document.ts'

type Headers = Record<string, string>

/** A folder of the test's own, gone with `open`. */
export function temporaryDir(open: AsyncDisposableStack): string {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-store-'))
  open.defer(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

export type StoreKind = 'embedded' | 'redis'

export interface TestStore {
  dir: string
  settings: Record<string, unknown>
  redis: TestRedis | null
}

/** A store of the test's own. Redis gets patience: a busy machine is not an outage. */
export async function openStore(kind: StoreKind, open: AsyncDisposableStack): Promise<TestStore> {
  const dir = temporaryDir(open)
  if (kind === 'embedded') return { dir, settings: { kind, dir }, redis: null }
  const redis = open.use(await startRedis())
  return { dir, settings: redisStore(redis.url, { commandTimeout: '2s', dir }), redis }
}

/** Somebody who submits jobs and looks after them. */
export class JobClient {
  readonly #base: () => string
  readonly token: string

  constructor(base: string | (() => string), token: string) {
    this.#base = typeof base === 'string' ? () => base : base
    this.token = token
  }

  /** Whoever fails before it awaits this shall be told of its own fault, and not that this came to nothing. */
  ask({ headers, ...wish }: Wish): Promise<Reply> {
    const asked = ask(this.#base(), { ...wish, headers: { authorization: `Bearer ${this.token}`, ...headers } })
    asked.catch(() => {})
    return asked
  }

  post(path: string, body: unknown, headers: Headers = {}, wish: Wish = {}): Promise<Reply> {
    const all = { 'content-type': 'application/json', ...headers }
    return this.ask({ method: 'POST', path, headers: all, body: JSON.stringify(body), ...wish })
  }

  /** A submission that is accepted. */
  async submit(path: string, body: unknown, headers: Headers = {}): Promise<JobDocument> {
    const reply = await this.post(path, body, headers)
    assert.equal(reply.status, 202, reply.body)
    return JSON.parse(reply.body)
  }

  async look(id: string, headers: Headers = {}): Promise<JobDocument> {
    const reply = await this.ask({ path: `/_sluice/jobs/${id}`, headers })
    assert.equal(reply.status, 200, reply.body)
    return JSON.parse(reply.body)
  }

  /** The document of a job that has ended. */
  async ended(id: string, seconds = 20): Promise<JobDocument> {
    const document = await this.look(id, { prefer: `wait=${seconds}` })
    assert.notEqual(document.finishedAt, null, `${id} is ${document.status} after ${seconds} s`)
    return document
  }

  result(id: string, wish: Wish = {}): Promise<Reply> {
    return this.ask({ path: `/_sluice/jobs/${id}/result`, ...wish })
  }

  async cancel(id: string): Promise<JobDocument> {
    const reply = await this.ask({ method: 'DELETE', path: `/_sluice/jobs/${id}` })
    assert.equal(reply.status, 200, reply.body)
    return JSON.parse(reply.body)
  }

  async list(query = ''): Promise<{ jobs: JobDocument[]; nextCursor: string | null }> {
    const reply = await this.ask({ path: `/_sluice/jobs${query}` })
    assert.equal(reply.status, 200, reply.body)
    return JSON.parse(reply.body)
  }
}

export const codeOf = ({ body }: Reply): string => JSON.parse(body).code
