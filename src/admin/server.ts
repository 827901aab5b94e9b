import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Refusal, StoreUnavailable } from '../kernel/errors.ts'
import type { Log } from '../telemetry/log.ts'
import { type AdminAuth, checkAccess } from './access.ts'
import { type Operation, Operations } from './calls.ts'

export interface AdminOptions {
  host: string
  port: number
  auth: AdminAuth
}

/** Prometheus text and its type: a registry, or several processes' registries added up. */
export interface MetricsPage {
  metrics(): Promise<string>
  readonly contentType: string
}

export interface AdminParts {
  /** By method and path: 'POST /admin/v1/purge', 'GET /admin/v1/jobs/:id'. */
  operations: Readonly<Record<string, Operation>>
  /** The metrics page. */
  metrics: MetricsPage
  /** What is told at /readyz; 200 when `ready`. */
  readiness: () => { ready: boolean } & Record<string, unknown>
  log: Log
}

const MAX_BODY_BYTES = 1024 * 1024

/** The admin port: health, metrics, and the operations of /admin/v1 for whoever holds the token. */
export class AdminServer {
  readonly #server: Server
  readonly #options: AdminOptions
  readonly #parts: AdminParts
  readonly #operations: Operations

  constructor(options: AdminOptions, parts: AdminParts) {
    this.#options = options
    this.#parts = parts
    this.#operations = new Operations(parts.operations)
    this.#server = createServer(
      { requestTimeout: 30_000, headersTimeout: 10_000 },
      (req, res) => void this.#answer(req, res),
    )
    this.#server.maxConnections = 256
  }

  async listen(): Promise<void> {
    this.#server.listen(this.#options.port, this.#options.host)
    await once(this.#server, 'listening')
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async #answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    try {
      const [path, query] = req.url!.split('?', 2) as [string, string | undefined]
      if (path === '/healthz') return send(res, 200, { status: 'ok' })
      if (path === '/readyz') return this.#ready(res)
      if (path === '/metrics') return await this.#metrics(res)
      if (path.startsWith('/admin/')) checkAccess(req, this.#options.auth)
      const found = this.#operations.find(req.method!, path)
      if (!found) throw new Refusal('NOT_FOUND', { detail: `${req.method} ${path}; there are ${this.#offers()}` })
      const { operation, params } = found
      send(res, 200, await operation({ params, query: new URLSearchParams(query), body: await jsonBody(req) }))
    } catch (error) {
      this.#refuse(res, error)
    }
  }

  #offers(): string {
    return ['GET /healthz', 'GET /readyz', 'GET /metrics', ...this.#operations.names].join(', ')
  }

  #ready(res: ServerResponse): void {
    const state = this.#parts.readiness()
    send(res, state.ready ? 200 : 503, state)
  }

  async #metrics(res: ServerResponse): Promise<void> {
    const { metrics } = this.#parts
    const page = await metrics.metrics()
    res.writeHead(200, { 'content-type': metrics.contentType }).end(page)
  }

  #refuse(res: ServerResponse, error: unknown): void {
    const refusal = asRefusal(error)
    if (refusal.code === 'INTERNAL') this.#parts.log.error({ err: error }, 'an admin call met a fault of ours')
    const { code, status, message, detail } = refusal
    send(
      res,
      status,
      { status, code, title: message, ...(detail !== undefined && { detail }) },
      'application/problem+json',
    )
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }
}

function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error
  if (error instanceof StoreUnavailable)
    return new Refusal('STORE_UNAVAILABLE', { detail: error.message, cause: error })
  return new Refusal('INTERNAL', { cause: error })
}

function send(res: ServerResponse, status: number, document: unknown, type = 'application/json'): void {
  const body = `${JSON.stringify(document, null, 2)}\n`
  const challenge = status === 401 ? { 'www-authenticate': 'Bearer realm="sluice-admin"' } : {}
  const later = status === 429 || status === 503 ? { 'retry-after': '1' } : {}
  res
    .writeHead(status, {
      'content-type': type,
      'cache-control': 'no-store',
      'content-length': Buffer.byteLength(body),
      ...challenge,
      ...later,
    })
    .end(body)
}

async function jsonBody(req: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of req as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) throw new Refusal('BODY_TOO_LARGE', { detail: 'an admin call may have 1 MiB' })
    chunks.push(chunk)
  }
  if (bytes === 0) return undefined
  try {
    return JSON.parse(Buffer.concat(chunks).toString())
  } catch (cause) {
    throw new Refusal('BODY_INVALID', { detail: 'the body must be JSON', cause })
  }
}
