/** HAProxy's cache, on one thread. It keeps no POST and nothing with Authorization: it is asked plain GETs, without tokens. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../test/support/ports.ts'
import { answering, launch, scratch } from '../children.ts'
import type { Peer } from './peer.ts'

export async function start({ origin }: { origin: string }): Promise<Peer> {
  const port = await freePort()
  const file = join(scratch('haproxy'), 'haproxy.cfg')
  writeFileSync(file, configText(port, new URL(origin).host))
  const haproxy = launch('haproxy', ['-db', '-q', '-f', file], { place: 'server' })
  const url = `http://127.0.0.1:${port}`
  await answering(url, haproxy)
  return { url, stop: () => haproxy.stop() }
}

const configText = (port: number, origin: string) => `
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
cache answers
  total-max-size 64
  max-object-size 100000
  max-age 3600
frontend in
  bind 127.0.0.1:${port}
  default_backend origin
backend origin
  http-request cache-use answers
  http-response set-header cache-control max-age=3600
  http-response cache-store answers
  server origin ${origin}
`
