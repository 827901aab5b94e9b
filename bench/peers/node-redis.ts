/**
 * The same with the answers in Redis: one GET per request. ioredis' automatic pipelining sends all GETs of one turn of
 * the event loop together, which is the fastest that a Node process can ask.
 */
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import { Redis } from 'ioredis'
import { freePort } from '../../test/support/ports.ts'
import { answering, launchScript } from '../children.ts'
import { table } from '../table.ts'
import type { Peer } from './peer.ts'

export async function start({ redisUrl, bodies }: { redisUrl: string; bodies: string[] }): Promise<Peer> {
  const redis = new Redis(redisUrl)
  const pipeline = redis.pipeline()
  for (const body of bodies) pipeline.set(keyOf(Buffer.from(body)), table(2_048, 1))
  await pipeline.exec()
  redis.disconnect()
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const child = launchScript(import.meta.filename, [`${port}`, redisUrl], { place: 'server' })
  await answering(url, child)
  return { url, stop: () => child.stop() }
}

const keyOf = (body: Buffer) => `peer:${createHash('sha256').update(body).digest('base64url')}`

function serve(port: number, redisUrl: string): void {
  const redis = new Redis(redisUrl, { enableAutoPipelining: true })
  const server = createServer((req, res) => {
    const chunks: Buffer[] = []
    req.on('data', (chunk: Buffer) => chunks.push(chunk))
    req.on('end', async () => {
      const body = await redis.getBuffer(keyOf(Buffer.concat(chunks)))
      if (!body) return void res.writeHead(404).end()
      res.writeHead(200, ['content-type', 'application/json', 'content-length', `${body.length}`])
      res.end(body)
    })
  })
  server.keepAliveTimeout = 60_000
  server.listen(port, '127.0.0.1')
}

if (import.meta.main) serve(Number(process.argv[2]), process.argv[3]!)
