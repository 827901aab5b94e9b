import { EventEmitter, once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import type { ManualClock } from '../kernel/clock.manual.ts'
import { systemClock } from '../kernel/clock.ts'
import { Refusal, type RefusalCode } from '../kernel/errors.ts'
import { type Ask, type Reply, Upstream, type UpstreamEvent, type UpstreamOptions } from './upstream.ts'

export const OPTIONS: UpstreamOptions = {
  name: 'main',
  urls: [],
  connectTimeoutMs: 1_000,
  timeoutMs: 3_000,
  maxConnections: 10,
  breaker: {
    windowMs: 10_000,
    volumeThreshold: 4,
    errorThresholdPercentage: 50,
    resetTimeoutMs: 1_000,
    maxResetTimeoutMs: 4_000,
  },
  retries: { attempts: 1, baseDelayMs: 1, maxDelayMs: 1_000, budget: 0.1 },
  healthCheck: null,
}

export function open(
  urls: string[],
  options: Partial<UpstreamOptions> = {},
  clock: ManualClock | typeof systemClock = systemClock,
) {
  const events: UpstreamEvent[] = []
  const news = new EventEmitter()
  const upstream = new Upstream(
    { ...OPTIONS, urls, ...options },
    {
      clock,
      random: () => 0.5,
      onEvent: (event) => {
        events.push(event)
        news.emit(event.kind, event)
      },
    },
  )
  const ask = (given: Partial<Ask> = {}) =>
    upstream.ask({
      method: 'POST',
      target: '/q?a=1',
      headers: ['content-type', 'application/json'],
      body: Buffer.from('{}'),
      signal: new AbortController().signal,
      timeoutMs: 60_000,
      tenant: 'acme',
      idempotent: false,
      ...given,
    })
  return { upstream, ask, events, news, [Symbol.asyncDispose]: () => upstream.close() }
}

export async function text(reply: Reply): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of reply.body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

export const refusal = (code: RefusalCode) => (error: unknown) => error instanceof Refusal && error.code === code

/** A server on bare TCP, for what an HTTP server would not do. */
export async function startRaw(onSocket: (socket: Socket) => void) {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    onSocket(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const stop = async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
  return { port, url: `http://127.0.0.1:${port}`, sockets, [Symbol.asyncDispose]: stop }
}

export const answering = (bytes: string, end: (socket: Socket) => void) =>
  startRaw((socket) => socket.once('data', () => socket.write(bytes, () => end(socket))))

/** A port where nobody listens. */
export async function deadUrl(): Promise<string> {
  await using raw = await startRaw(() => {})
  return raw.url
}

/** Waits for something that another process's kernel does in its own time. */
export async function until(is: () => boolean): Promise<void> {
  while (!is()) await new Promise((resolve) => setTimeout(resolve, 2))
}
