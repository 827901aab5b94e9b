/** Varnish with one thread pool. Its builtin rules pass POSTs and requests with Authorization: it is asked plain GETs. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../test/support/ports.ts'
import { answering, launch, scratch } from '../children.ts'
import type { Peer } from './peer.ts'

export async function start({ origin }: { origin: string }): Promise<Peer> {
  const port = await freePort()
  const dir = scratch('varnish')
  const file = join(dir, 'default.vcl')
  writeFileSync(file, vcl(new URL(origin)))
  const args = ['-F', '-j', 'none', '-n', join(dir, 'work'), '-f', file, '-s', 'malloc,256m', '-p', 'thread_pools=1']
  const log = join(dir, 'log') // it prints every child it starts
  const varnish = launch('varnishd', [...args, '-a', `127.0.0.1:${port}`], { place: 'server', log })
  const url = `http://127.0.0.1:${port}`
  await answering(url, varnish, 30_000) // it compiles its configuration first
  return { url, stop: () => varnish.stop() }
}

const vcl = ({ hostname, port }: URL) => `vcl 4.1;
backend origin { .host = "${hostname}"; .port = "${port}"; }
sub vcl_backend_response { set beresp.ttl = 1h; }
`
