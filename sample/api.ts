import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { readAsset } from './assets.ts'
import { parseQuery, QueryInvalid } from './query.ts'
import { QueryService } from './service.ts'

/**
 * The sample query API: what stands behind the gateway in the quickstart and in tests. It believes X-Tenant-Id and
 * X-Principal-Id, so it must be reached through the gateway alone, which sets both; hence the loopback default.
 *
 *   POST /api/query        a query (sample/query.ts) → { columns, rows, rowCount, tookMs, query }
 *   GET  /api/datasets     what can be asked
 *   GET  /health           200
 *   GET  / and /assets/*   the dashboard page
 *   GET  /demo/tokens.json tokens for the page; GET /demo/stats { queries, aborted }
 */
export interface SampleApi {
  readonly url: string
  /** Queries that ran here so far. */
  readonly queries: number
  /** Of these, how many ended early because the client left. */
  readonly aborted: number
  /** What GET /demo/tokens.json answers. */
  setTokens(tokens: readonly DemoToken[]): void
  close(): Promise<void>
}

export interface DemoToken {
  readonly label: string
  readonly tenant: string
  readonly principal: string
  readonly token: string
}

const MAX_BODY_BYTES = 1024 ** 2

/** Throws out of a handler what shall be answered. */
class Answered extends Error {
  readonly status: number
  readonly allowed: unknown

  constructor(status: number, message: string, allowed?: unknown) {
    super(message)
    this.status = status
    this.allowed = allowed
  }
}

export async function startSampleApi({ port = 0, host = '127.0.0.1' } = {}): Promise<SampleApi> {
  const service = new QueryService()
  let tokens: readonly DemoToken[] = []
  const server = createServer((req, res) => void respond(req, res, service, () => tokens))
  server.listen(port, host)
  await once(server, 'listening')
  const { port: opened } = server.address() as AddressInfo
  let closing: Promise<void> | undefined
  return {
    url: `http://${host}:${opened}`,
    get queries() {
      return service.stats.queries
    },
    get aborted() {
      return service.stats.aborted
    },
    setTokens: (given) => {
      tokens = given
    },
    close() {
      closing ??= server[Symbol.asyncDispose]().then(() => service.close())
      server.closeAllConnections()
      return closing
    },
  }
}

async function respond(
  req: IncomingMessage,
  res: ServerResponse,
  service: QueryService,
  tokens: () => unknown,
): Promise<void> {
  try {
    await route(req, res, service, tokens)
  } catch (error) {
    if (res.destroyed || res.headersSent) return // the client left
    if (error instanceof QueryInvalid) sendJson(res, 400, { error: error.message, allowed: error.allowed })
    else if (error instanceof Answered) sendJson(res, error.status, { error: error.message, allowed: error.allowed })
    else {
      console.error(error)
      sendJson(res, 500, { error: 'the sample API made a mistake' })
    }
  }
}

async function route(
  req: IncomingMessage,
  res: ServerResponse,
  service: QueryService,
  tokens: () => unknown,
): Promise<void> {
  const path = req.url!.split('?', 1)[0]!
  if (path === '/api/query') return answerQuery(req, res, service)
  if (req.method !== 'GET' && req.method !== 'HEAD')
    throw new Answered(405, `${req.method} is not allowed here`, ['GET', 'HEAD'])
  if (path === '/health') return sendJson(res, 200, { status: 'ok' })
  if (path === '/api/datasets') return sendJson(res, 200, { datasets: service.describe() })
  if (path === '/demo/stats') return sendJson(res, 200, service.stats, LIVE)
  if (path === '/demo/tokens.json') return sendJson(res, 200, tokens(), LIVE)
  const asset = readAsset(path)
  if (!asset)
    throw new Answered(404, 'nothing is here', ['POST /api/query', 'GET /api/datasets', 'GET /health', 'GET /'])
  send(res, 200, asset.body, asset.headers)
}

async function answerQuery(req: IncomingMessage, res: ServerResponse, service: QueryService): Promise<void> {
  if (req.method !== 'POST') throw new Answered(405, `${req.method} is not allowed here`, ['POST'])
  const tenant = req.headers['x-tenant-id']
  if (typeof tenant !== 'string' || tenant === '') {
    throw new Answered(403, 'no tenant: this API is to be reached through the gateway, which sets X-Tenant-Id')
  }
  const leaving = new AbortController()
  res.once('close', () => leaving.abort())
  const query = parseQuery(await readJson(req))
  const principal = String(req.headers['x-principal-id'] ?? '')
  sendJson(res, 200, await service.run(query, tenant, principal, leaving.signal))
}

async function readJson(req: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of req as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) throw new Answered(413, 'the body is too large', `${MAX_BODY_BYTES} bytes`)
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch (error) {
    throw new Answered(400, `the body is not JSON: ${(error as Error).message}`, 'a JSON object')
  }
}

const LIVE = { 'cache-control': 'no-store' }

const sendJson = (res: ServerResponse, status: number, value: unknown, headers: Record<string, string> = {}): void =>
  send(res, status, Buffer.from(`${JSON.stringify(value)}\n`), {
    'content-type': 'application/json; charset=utf-8',
    ...headers,
  })

function send(res: ServerResponse, status: number, body: Buffer, headers: Record<string, string>): void {
  res.writeHead(status, { ...headers, 'content-length': body.length }).end(body)
}
