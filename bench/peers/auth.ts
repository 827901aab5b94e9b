/** The service that nginx' auth_request asks: checks an HS256 token and names its identity. It remembers tokens it has seen. */
import { createServer } from 'node:http'
import { freePort } from '../../test/support/ports.ts'
import { answering, launchScript } from '../children.ts'
import { verify } from '../token.ts'
import type { Peer } from './peer.ts'

const MAX_REMEMBERED = 10_000

export async function start(): Promise<Peer> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const child = launchScript(import.meta.filename, [`${port}`], { place: 'server' }) // it is part of what nginx needs
  await answering(url, child)
  return { url, stop: () => child.stop() }
}

function serve(port: number): void {
  const seen = new Map<string, { identity: string; exp: number }>()
  const identify = (token: string): string | undefined => {
    const known = seen.get(token)
    if (known && known.exp * 1_000 > Date.now()) return known.identity
    const claims = verify(token)
    if (!claims) return undefined
    if (seen.size >= MAX_REMEMBERED) seen.clear()
    seen.set(token, { identity: `${claims.tenant}/${claims.sub}`, exp: claims.exp })
    return `${claims.tenant}/${claims.sub}`
  }
  const server = createServer((req, res) => {
    const identity = identify((req.headers.authorization ?? '').replace(/^Bearer /, ''))
    res.writeHead(identity ? 200 : 401, ['x-identity', identity ?? '', 'content-length', '0']).end()
  })
  server.keepAliveTimeout = 60_000
  server.listen(port, '127.0.0.1')
}

if (import.meta.main) serve(Number(process.argv[2]))
