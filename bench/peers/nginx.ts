/**
 * nginx with auth_request, proxy_cache and proxy_cache_lock: POSTs cached by identity, path and body. One process on one
 * core, and no access log, both in its favour. `cacheAuth` keeps the auth service's verdict for ten seconds per token
 * (a revoked token then works that long); without it the service is asked for every request, as the manual shows it.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../test/support/ports.ts'
import { answering, launch, scratch } from '../children.ts'
import { start as startAuth } from './auth.ts'
import type { Peer } from './peer.ts'

export async function start({ origin, cacheAuth }: { origin: string; cacheAuth: boolean }): Promise<Peer> {
  const auth = await startAuth()
  const port = await freePort()
  const dir = scratch('nginx')
  const file = join(dir, 'nginx.conf')
  writeFileSync(file, configText({ port, dir, origin, auth: auth.url, cacheAuth }))
  const nginx = launch('nginx', ['-p', dir, '-c', file, '-e', 'stderr'], { place: 'server' })
  const url = `http://127.0.0.1:${port}`
  await answering(url, nginx)
  const stop = async () => {
    await nginx.stop()
    await auth.stop()
  }
  return { url, stop }
}

interface Settings {
  port: number
  dir: string
  origin: string
  auth: string
  cacheAuth: boolean
}

const server = (url: string) => new URL(url).host

function configText({ port, dir, origin, auth, cacheAuth }: Settings): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  const authCache = `proxy_cache auth; proxy_cache_key $http_authorization; proxy_cache_valid 200 10s;`
  return `
daemon off;
master_process off;
user root;
pid ${dir}/nginx.pid;
error_log stderr error;
events { worker_connections 2048; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_buffer_size 64k;
  ${temporary.map((name) => `${name}_temp_path ${dir}/${name};`).join('\n  ')}
  proxy_cache_path ${dir}/answers levels=1:2 keys_zone=answers:32m inactive=1h use_temp_path=off;
  proxy_cache_path ${dir}/auth levels=1:2 keys_zone=auth:8m use_temp_path=off;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  upstream origin { server ${server(origin)}; keepalive 64; keepalive_requests 1000000000; }
  upstream auth { server ${server(auth)}; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / { return 200; }
    location /api/ {
      auth_request /_auth;
      auth_request_set $identity $upstream_http_x_identity;
      proxy_pass http://origin;
      proxy_cache answers;
      proxy_cache_methods POST;
      proxy_cache_key $identity|$request_uri|$request_body;
      proxy_cache_valid 200 1h;
      proxy_cache_lock on;
    }
    location = /_auth {
      internal;
      proxy_pass http://auth;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header Connection "";
      ${cacheAuth ? authCache : ''}
    }
  }
}
`
}
