import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { Refusal } from '../kernel/errors.ts'
import { endToEnd, passableTrailers } from './hop-by-hop.ts'
import type { Pass } from './pass.ts'
import { Passthrough } from './passthrough.ts'
import type { PassEnd } from './verdict.ts'

export const MIB = 1024 * 1024

/** A gateway that passes everything on to `target` and writes refusals as their code. */
export async function startGateway(target: string, given: Partial<Pass> = {}) {
  const passthrough = new Passthrough()
  const ends: PassEnd[] = []
  const heads: number[] = []
  const headersOf = (req: IncomingMessage) => {
    const flat = endToEnd(req.rawHeaders)
    return flat.filter((_, i) => !/^(host|expect)$/i.test(flat[i - (i % 2)]!))
  }
  const passFor = (req: IncomingMessage): Pass => ({
    target: new URL(target),
    headers: headersOf(req),
    timeoutMs: 3_000,
    trailers: passableTrailers,
    onDone: (end) => ends.push(end),
    onHead: (status) => heads.push(status),
    ...given,
  })
  const web = (awaitsContinue: boolean) => (req: IncomingMessage, res: ServerResponse) => {
    passthrough.web(req, res, { ...passFor(req), awaitsContinue }).catch((error) => {
      if (!res.headersSent)
        res.writeHead(error instanceof Refusal ? error.status : 499).end(`${error.code ?? error.message}`)
      req.resume()
    })
  }
  const server = createServer(web(false)).on('checkContinue', web(true))
  server.on('upgrade', (req, socket, head) => {
    passthrough.upgrade(req, socket, head, passFor(req)).catch((error) => {
      socket.end(`HTTP/1.1 ${error.status} no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)
    })
  })
  const port = await listen(server)
  const stop = async () => {
    passthrough.close()
    server.closeAllConnections()
    server.close()
  }
  return { port, url: `http://127.0.0.1:${port}`, ends, heads, server, [Symbol.asyncDispose]: stop }
}

export async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** Writes these bytes and answers all that came back until the connection closed. */
export async function rawAsk(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(bytes, 'latin1')
  let answer = ''
  for await (const chunk of socket) answer += chunk.toString('latin1')
  return answer
}
