import * as http from 'node:http'
import * as https from 'node:https'
import type { Socket } from 'node:net'
import type { FlatHeaders } from '../kernel/exchange.ts'
import { basePath } from './targets.ts'

/** Free connections are let go before servers with the usual 5 s close them under a request. */
const IDLE_MS = 4_000
const MAX_FREE = 256
/** As for asks (targets.ts). */
const MAX_HEADER_BYTES = 64 * 1024

export interface ConnectionsOptions {
  /** To each URL; more wait in line. */
  maxConnections: number
}

export interface Outgoing {
  method: string
  /** The URL behind the gateway and, after its base path, the exact path and query. */
  target: URL
  path: string
  host: string
  headers: FlatHeaders
  /** Whether a connection used before will do. */
  fresh: boolean
}

/** The passthrough's connections: kept alive, a set for http and one for https. */
export class Connections {
  readonly #kept: { http: http.Agent; https: https.Agent }

  constructor({ maxConnections }: ConnectionsOptions) {
    const options: http.AgentOptions = {
      keepAlive: true,
      maxSockets: maxConnections,
      maxFreeSockets: MAX_FREE,
      scheduling: 'lifo',
      timeout: IDLE_MS,
    }
    this.#kept = { http: new http.Agent(options), https: new https.Agent(options) }
  }

  /** Sends the head exactly as given: a flat list is written as it stands, with no header added but `host`. */
  request({ method, target, path, host, headers, fresh }: Outgoing): http.ClientRequest {
    const secure = target.protocol === 'https:'
    const options: http.RequestOptions = {
      method,
      path: basePath(target) + path,
      host: bareHost(target),
      port: target.port || (secure ? 443 : 80),
      headers: ['host', host, ...headers],
      agent: fresh ? false : secure ? this.#kept.https : this.#kept.http,
      maxHeaderSize: MAX_HEADER_BYTES,
    }
    return secure ? https.request(options) : http.request(options)
  }

  close(): void {
    this.#kept.http.destroy()
    this.#kept.https.destroy()
  }
}

/** URLs write IPv6 in brackets, sockets take it without. */
const bareHost = ({ hostname }: URL): string => (hostname.startsWith('[') ? hostname.slice(1, -1) : hostname)

/** Calls back once the connection stands; with an error in place of it when that takes too long. */
export function whenConnected(socket: Socket, timeoutMs: number, onConnected: () => void): void {
  if (!socket.connecting) {
    onConnected()
    return
  }
  const secure = 'encrypted' in socket
  const timer = setTimeout(() => socket.destroy(new Error(`no connection within ${timeoutMs} ms`)), timeoutMs)
  socket.once('close', () => clearTimeout(timer))
  socket.once(secure ? 'secureConnect' : 'connect', () => {
    clearTimeout(timer)
    onConnected()
  })
}
