/**
 * What a perfect storm would look like on this machine: holds every request until one instant that all processes know
 * beforehand, and answers 2 KiB. How far its answers lie apart is the cost of 1,000 answers and of the client, not of
 * any gateway.
 */
import { createServer, type ServerResponse } from 'node:http'
import { freePort } from '../../test/support/ports.ts'
import { answering, launchScript } from '../children.ts'
import { table } from '../table.ts'
import type { Peer } from './peer.ts'

/** The request header that says when to answer, ms since the epoch. */
export const RELEASE_AT = 'x-release-at'

export async function start(): Promise<Peer> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const child = launchScript(import.meta.filename, [`${port}`], { place: 'anywhere' })
  await answering(url, child)
  return { url, stop: () => child.stop() }
}

function serve(port: number): void {
  const body = table(2_048, 1)
  const held: ServerResponse[] = []
  const release = () => {
    for (const res of held.splice(0)) {
      res.writeHead(200, ['content-type', 'application/json', 'content-length', `${body.length}`])
      res.end(body)
    }
  }
  const server = createServer((req, res) => {
    req.resume()
    const releaseAt = Number(req.headers[RELEASE_AT] ?? 0)
    if (held.length === 0) setTimeout(release, Math.max(0, releaseAt - Date.now()))
    held.push(res)
  })
  server.listen(port, '127.0.0.1', 4_096)
}

if (import.meta.main) serve(Number(process.argv[2]))
