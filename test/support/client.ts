import { type Agent, type IncomingHttpHeaders, request } from 'node:http'
import { mintToken } from '../../src/cli/token.ts'
import { SECRET } from './config.ts'

export interface Reply {
  status: number
  headers: IncomingHttpHeaders
  body: string
  /** The answer's cache-status without the cache's name. */
  cache: string
  tookMs: number
}

export interface Wish {
  method?: string
  path?: string
  headers?: Record<string, string | string[]>
  body?: string | Buffer
  signal?: AbortSignal
  agent?: Agent
}

/** One request over node:http, which shows headers as they are and asks for no coding by itself. */
export function ask(
  base: string,
  { method = 'GET', path = '/', headers = {}, body, signal, agent }: Wish = {},
): Promise<Reply> {
  const startedAt = performance.now()
  return new Promise((resolve, reject) => {
    const { hostname: host, port } = new URL(base)
    const req = request({ host, port, path, method, headers, ...(signal && { signal }), agent: agent ?? false })
    req.on('error', reject)
    req.on('response', (res) => {
      const chunks: Buffer[] = []
      res.on('data', (chunk) => chunks.push(chunk))
      res.on('error', reject)
      res.on('end', () =>
        resolve({
          status: res.statusCode!,
          headers: res.headers,
          body: Buffer.concat(chunks).toString(),
          cache: String(res.headers['cache-status'] ?? '').replace(/^sluice; /, ''),
          tookMs: performance.now() - startedAt,
        }),
      )
    })
    req.end(body)
  })
}

export const tokenFor = (tenant: string, claims: Record<string, unknown> = {}): Promise<string> =>
  mintToken({ secret: SECRET, alg: 'HS256', claims: { sub: 'ana', tenant, ...claims }, ttlMs: 600_000 })

/** POST /api/query as somebody. */
export function query(
  base: string,
  token: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Reply> {
  return ask(base, {
    method: 'POST',
    path: '/api/query',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
}
