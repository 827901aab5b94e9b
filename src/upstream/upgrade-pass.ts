/**
 * One WebSocket. http-proxy-3 makes the request and joins the two sockets. Its handling of everything else is replaced:
 * it relays a refused handshake without back-pressure (a large download with an `Upgrade` header would fill the
 * memory), never ends the client when that answer breaks off, closes the client's socket before its caller can write
 * a problem document, and lets the upstream go on when the client leaves during the handshake.
 */
import { type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { ProxyServer } from 'http-proxy'
import { Refusal } from '../kernel/errors.ts'
import type { FlatHeaders } from '../kernel/exchange.ts'
import { whenConnected } from './connections.ts'
import type { Pass } from './pass.ts'
import { relay } from './relay.ts'
import { originForm } from './request-fault.ts'
import { basePath } from './targets.ts'
import type { PassEnd } from './verdict.ts'
import { brokenOff, CONNECT_MS } from './web-pass.ts'

export class UpgradePass {
  readonly done: Promise<void>
  readonly #req: IncomingMessage
  readonly #socket: Duplex
  readonly #pass: Pass
  readonly #settle: { resolve: () => void; reject: (reason: unknown) => void }
  readonly #abandon = () => this.#end('left', this.#pass.signal?.reason)
  #request: ClientRequest | null = null
  #upstreamSocket: Socket | null = null
  #connected = false
  #status: number | null = null
  #over = false

  constructor(req: IncomingMessage, socket: Duplex, head: Buffer, pass: Pass) {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.done = promise
    this.#settle = { resolve, reject }
    this.#req = req
    this.#socket = socket
    this.#pass = pass
    socket.on('close', () => this.#end(this.#upstreamSocket ? 'none' : 'left'))
    socket.once('end', () => this.#upstreamSocket ?? this.#abandon())
    socket.read(0) // a socket that nobody reads does not notice that its peer has left
    pass.signal?.addEventListener('abort', this.#abandon, { once: true })
    if (req.method !== 'GET' || req.headers.upgrade?.toLowerCase() !== 'websocket') {
      this.#end('left', new Refusal('REQUEST_INVALID', { detail: 'Only WebSocket upgrades are passed on.' }))
    } else if (pass.signal?.aborted || socket.destroyed) this.#abandon()
    else this.#send(head)
  }

  cut(): void {
    this.#upstreamSocket?.destroy()
    this.#socket.destroy()
  }

  #send(head: Buffer): void {
    const { target, path = originForm(this.#req.url!), timeoutMs } = this.#pass
    const proxy = new ProxyServer({ target, toProxy: true })
    proxy.on('error', () => {}) // the client's socket broke; its 'close' tells us
    proxy.on('proxyReqWs', (request) => {
      request.path = basePath(target) + path // http-proxy joins and so rewrites it
      request.on('upgrade', (answer, upstreamSocket) => this.#onUpgrade(answer, upstreamSocket))
      this.#request = request
    })
    const received = this.#req.headers
    this.#req.headers = this.#headers()
    proxy.ws(this.#req, this.#socket, head, () => {}) // errors come to our own listener below
    this.#req.headers = received
    this.#request!.removeAllListeners('response').on('response', (answer) => this.#onRefused(answer))
    this.#request!.removeAllListeners('error').on('error', (error) => this.#onError(error))
    this.#request!.setTimeout(timeoutMs, () => this.#end('too-slow', new Refusal('DEADLINE_EXCEEDED')))
    this.#request!.on('socket', (socket) => {
      whenConnected(socket, this.#pass.connectTimeoutMs ?? CONNECT_MS, () => {
        this.#connected = true
      })
    })
  }

  /** Exactly the given ones; what stands several times stays several. */
  #headers(): IncomingHttpHeaders {
    const { headers, target, host = target.host } = this.#pass
    const all: FlatHeaders = ['host', host, ...headers, 'connection', 'Upgrade', 'upgrade', 'websocket']
    const grouped: IncomingHttpHeaders = Object.create(null)
    for (let i = 0; i < all.length; i += 2) {
      const name = all[i]!.toLowerCase()
      const before = grouped[name]
      grouped[name] = before === undefined ? all[i + 1]! : [before, all[i + 1]!].flat()
    }
    return grouped
  }

  #onUpgrade(answer: IncomingMessage, upstreamSocket: Socket): void {
    this.#status = answer.statusCode!
    this.#upstreamSocket = upstreamSocket
    this.#pass.onHead?.(this.#status, [])
    this.#socket.once('close', () => upstreamSocket.destroySoon())
    upstreamSocket.once('close', () => this.#socket.end())
  }

  /** An ordinary answer: written by node's own ServerResponse, so that framing and back-pressure are as ever. */
  #onRefused(answer: IncomingMessage): void {
    this.#status = answer.statusCode!
    const res = new ServerResponse(this.#req)
    res.shouldKeepAlive = false
    res.assignSocket(this.#socket as Socket)
    res.on('finish', () => this.#socket.end())
    relay(answer, res, {
      method: 'GET',
      onHead: this.#pass.onHead,
      onEnd: (whole) => this.#end(whole ? 'none' : 'invalid'),
    })
  }

  #onError(cause: Error): void {
    if (this.#status !== null) return
    if (this.#connected) this.#end('invalid', brokenOff(cause))
    else this.#end('unreachable', new Refusal('UPSTREAM_UNREACHABLE', { cause }))
  }

  #end(failure: PassEnd['failure'], reason?: unknown): void {
    if (this.#over) return
    this.#over = true
    this.#pass.signal?.removeEventListener('abort', this.#abandon)
    if (failure !== 'none') this.#stop()
    const untouched = this.#status === null && !this.#connected
    this.#pass.onDone?.({ status: this.#status, failure, untouched })
    if (reason !== undefined && this.#status === null) this.#settle.reject(reason)
    else this.#settle.resolve()
  }

  #stop(): void {
    this.#request?.destroy()
    this.#upstreamSocket?.destroy()
    if (this.#status !== null) this.#socket.destroy()
  }
}
