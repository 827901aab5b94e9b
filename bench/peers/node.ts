/** The bare minimum that could answer a cached POST: reads it, hashes it, answers 2 KiB from memory. */
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import { freePort } from '../../test/support/ports.ts'
import { answering, launchScript } from '../children.ts'
import { table } from '../table.ts'
import type { Peer } from './peer.ts'

export async function start(): Promise<Peer> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const child = launchScript(import.meta.filename, [`${port}`], { place: 'server' })
  await answering(url, child)
  return { url, stop: () => child.stop() }
}

function serve(port: number): void {
  const body = table(2_048, 1)
  const headers = ['content-type', 'application/json', 'content-length', `${body.length}`]
  const server = createServer((req, res) => {
    const hash = createHash('sha256')
    req.on('data', (chunk: Buffer) => hash.update(chunk))
    req.on('end', () => {
      hash.digest('latin1')
      res.writeHead(200, headers)
      res.end(body)
    })
  })
  server.keepAliveTimeout = 60_000
  server.listen(port, '127.0.0.1')
}

if (import.meta.main) serve(Number(process.argv[2]))
