/** A bare http-proxy-3 server, as its README starts one; with a keep-alive agent when asked, which it does not have by default. */
import { Agent } from 'node:http'
import httpProxy from 'http-proxy'
import { freePort } from '../../test/support/ports.ts'
import { answering, launchScript } from '../children.ts'
import type { Peer } from './peer.ts'

export async function start({ origin, keepAlive }: { origin: string; keepAlive: boolean }): Promise<Peer> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const args = [`${port}`, origin, keepAlive ? 'keep-alive' : 'close']
  const child = launchScript(import.meta.filename, args, { place: 'server' })
  await answering(url, child)
  return { url, stop: () => child.stop() }
}

function serve(port: number, target: string, keepAlive: boolean): void {
  const proxy = httpProxy.createProxyServer({ target, ...(keepAlive ? { agent: new Agent({ keepAlive: true }) } : {}) })
  proxy.on('error', (_error, _req, res) => {
    if ('writeHead' in res) res.writeHead(502).end()
  })
  proxy.listen(port, '127.0.0.1')
}

if (import.meta.main) serve(Number(process.argv[2]), process.argv[3]!, process.argv[4] === 'keep-alive')
