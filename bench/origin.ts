/**
 * The query API behind everything that is measured, as a process of its own: answers tables of a given size after a
 * given time, at most `width` at once, and counts what it was asked, also by the local address that was called (each
 * gateway of a storm calls its own 127.0.0.x, which tells who led).
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../test/support/ports.ts'
import { answering, type Child, launchScript } from './children.ts'
import { table } from './table.ts'

export interface OriginSettings {
  bytes?: number
  delayMs?: number
  /** Queries at once; more of them wait. 0 = any number. */
  width?: number
}

export interface OriginCounts {
  requests: number
  aborted: number
  byAddress: Record<string, number>
}

export interface Origin {
  port: number
  url: string
  counts(): Promise<OriginCounts>
  /** Sets what is given and forgets the counts. */
  reset(settings?: OriginSettings): Promise<void>
  stop(): Promise<void>
}

export async function startOrigin(settings: OriginSettings = {}): Promise<Origin> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const child: Child = launchScript(import.meta.filename, [`${port}`], { place: 'behind' })
  await answering(`${url}/health`, child)
  const reset = async (next: OriginSettings = {}) => {
    await fetch(`${url}/_bench/reset`, { method: 'POST', body: JSON.stringify(next) })
  }
  await reset(settings)
  return {
    port,
    url,
    counts: async () => (await (await fetch(`${url}/_bench/counts`)).json()) as OriginCounts,
    reset,
    stop: () => child.stop(),
  }
}

const settings = { bytes: 2048, delayMs: 0, width: 0 }
let counts: OriginCounts = { requests: 0, aborted: 0, byAddress: {} }
let busy = 0
const waiting: (() => void)[] = []
const small = new Map<number, Buffer>()

async function serve(port: number): Promise<void> {
  const server = createServer((req, res) => void handle(req, res))
  server.keepAliveTimeout = 60_000
  server.listen(port, '0.0.0.0', 4_096)
  await once(server, 'listening')
}

async function handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of req) chunks.push(chunk as Buffer)
  if (req.url === '/health') return void res.end('ok')
  if (req.url === '/_bench/counts') return void res.end(JSON.stringify(counts))
  if (req.url === '/_bench/reset') {
    Object.assign(settings, JSON.parse(Buffer.concat(chunks).toString()))
    counts = { requests: 0, aborted: 0, byAddress: {} }
    return void res.end()
  }
  await query(req, res, Buffer.concat(chunks))
}

async function query(req: IncomingMessage, res: ServerResponse, question: Buffer): Promise<void> {
  counts.requests++
  const address = req.socket.localAddress ?? ''
  counts.byAddress[address] = (counts.byAddress[address] ?? 0) + 1
  res.on('close', () => {
    if (!res.writableFinished) counts.aborted++
  })
  if (settings.width > 0 && busy >= settings.width) await new Promise<void>((resolve) => waiting.push(resolve))
  busy++
  if (settings.delayMs > 0) await sleep(settings.delayMs)
  busy--
  waiting.shift()?.()
  const body = answer(question)
  res.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length })
  res.end(body)
}

/** Small answers are made once, so that the origin costs little; large ones differ by question, as real ones do. */
function answer(question: Buffer): Buffer {
  if (settings.bytes > 4_096)
    return table(
      settings.bytes,
      question.reduce((seed, byte) => (seed * 31 + byte) | 0, 7),
    )
  const made = small.get(settings.bytes) ?? table(settings.bytes, 1)
  small.set(settings.bytes, made)
  return made
}

if (import.meta.main) await serve(Number(process.argv[2]))
