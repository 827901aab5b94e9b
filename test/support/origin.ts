import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Seen {
  method: string
  url: string
  headers: IncomingMessage['headers']
  rawHeaders: string[]
  body: string
}

export type Script = (req: IncomingMessage & { body: string }, res: ServerResponse) => unknown

/** An upstream that does what the test says and remembers what it was asked. */
export interface Origin extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly seen: Seen[]
  /** Requests whose client went away before they were answered. */
  aborted: number
  server: Server
  /** Replaces the script. */
  answer(script: Script): void
  /** Resolves when `count` requests have been seen in all. */
  arrived(count: number): Promise<void>
}

export async function startOrigin(script: Script = (_req, res) => void res.end('{"rows":[]}')): Promise<Origin> {
  let current = script
  const seen: Seen[] = []
  let watchers: { count: number; resolve: () => void }[] = []
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = []
    res.on('close', () => {
      if (!res.writableFinished) origin.aborted++
    })
    try {
      for await (const chunk of req) chunks.push(chunk as Buffer)
    } catch {
      return // the client left while sending; `aborted` has counted it
    }
    const body = Buffer.concat(chunks).toString()
    seen.push({ method: req.method!, url: req.url!, headers: req.headers, rawHeaders: req.rawHeaders, body })
    for (const watcher of watchers) if (seen.length >= watcher.count) watcher.resolve()
    watchers = watchers.filter((watcher) => seen.length < watcher.count)
    await current(Object.assign(req, { body }), res)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const origin: Origin = {
    url: `http://127.0.0.1:${port}`,
    port,
    seen,
    aborted: 0,
    server,
    answer: (next) => {
      current = next
    },
    arrived: (count) =>
      seen.length >= count ? Promise.resolve() : new Promise((resolve) => watchers.push({ count, resolve })),
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
  return origin
}
