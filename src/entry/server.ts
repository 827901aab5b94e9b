import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, Server as NetServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { Refusal } from '../kernel/errors.ts'
import type { Delivery } from '../request/delivery.ts'
import { handle } from '../request/handle.ts'
import type { House } from '../request/house.ts'
import { jobs } from '../request/jobs.ts'
import { passPreflight } from '../request/pass.ts'
import { normalPath, splitTarget } from '../routing/path.ts'
import type { Passthrough } from '../upstream/passthrough.ts'
import { originForm, requestFault } from '../upstream/request-fault.ts'
import type { Accounts, Ending } from './account.ts'
import { ClientLeft } from './client-left.ts'
import { type Cors, isPreflight } from './cors.ts'
import { deliver } from './deliver.ts'
import { EventStreams } from './events.ts'
import { HttpCall, type LeftEvents } from './http-call.ts'
import type { Manners } from './manners.ts'
import { isAboutJobs, isOwn, own } from './own.ts'
import { problemOf } from './problem.ts'
import { announcesBody, asksForWebSocket, protocolFault } from './protocol.ts'
import { type ProxyDelivery, proxyUpgrade, proxyWeb } from './proxy.ts'
import { refuseRaw } from './raw.ts'

export interface ServerOptions {
  host: string
  port: number
  headersTimeoutMs: number
  maxConnections: number
  drainTimeoutMs: number
}

/** Longer than the idle time of the usual load balancers (60 s), or they would write into a closing connection. */
const KEEP_ALIVE_MS = 75_000

/** Room for a token of 100 KB, so that it is refused as the token it is (401, with its reason) and not by the parser. */
const MAX_HEAD_BYTES = 128 * 1024

/** A request that was refused may go on sending this long; reading it lets the client see its answer. */
const LINGER_MS = 2_000

/** The data port: turns sockets into calls and deliveries into bytes. Decides nothing about what is answered. */
export class DataServer {
  readonly #house: House
  readonly #accounts: Accounts
  readonly #options: ServerOptions
  readonly #server: Server
  readonly #passthrough: Passthrough
  readonly #upgraded = new Set<Duplex>()
  /** Connections that were told `close` for a broken request: what still comes on them is nobody's. */
  readonly #condemned = new Set<Duplex>()
  manners: Manners
  readonly #streams = new EventStreams()
  #draining = false
  /** Aborts as the drain begins: what is held for its own sake is answered, and streams of events end. */
  readonly #closing = new AbortController()
  /** Resolves when no connection is left, once no new one is taken. */
  #left: Promise<unknown> | undefined
  #drained: Promise<void> | undefined

  constructor(house: House, accounts: Accounts, passthrough: Passthrough, manners: Manners, options: ServerOptions) {
    this.#house = house
    this.#accounts = accounts
    this.#passthrough = passthrough
    this.#options = options
    this.manners = manners
    this.#server = createServer({
      maxHeaderSize: MAX_HEAD_BYTES,
      headersTimeout: options.headersTimeoutMs,
      requestTimeout: 0, // bodies have their own clock: server.bodyTimeout where they are read, an idle limit where they stream
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: Math.min(1_000, options.headersTimeoutMs),
      noDelay: true,
      requireHostHeader: false, // node's own refusal has no body; protocol.ts refuses it in our words
      shouldUpgradeCallback: asksForWebSocket,
    })
    this.#server.maxConnections = options.maxConnections
    this.#server.on('request', (req, res) => void this.#answer(req, res))
    this.#server.on('checkContinue', (req, res) => void this.#answer(req, res, () => res.writeContinue()))
    this.#server.on('checkExpectation', (req, res) =>
      this.#refuse(req, res, this.#rough(req, res), UNKNOWN_EXPECTATION()),
    )
    this.#server.on('upgrade', (req, socket, head) => void this.#upgrade(req, socket, head))
    this.#server.on('connect', (req, socket, head) => void this.#upgrade(req, socket, head)) // refused there, in words
    this.#server.on('clientError', (error, socket) => this.#refuseBroken(error, socket))
  }

  async listen(): Promise<void> {
    this.#server.listen(this.#options.port, this.#options.host)
    await once(this.#server, 'listening')
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get draining(): boolean {
    return this.#draining
  }

  connections(): Promise<number> {
    return new Promise((resolve, reject) =>
      this.#server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
    )
  }

  async #answer(req: IncomingMessage, res: ServerResponse, goOn?: () => void): Promise<void> {
    if (this.#condemned.size > 0 && this.#condemned.has(req.socket)) return
    let call: HttpCall | undefined
    try {
      const target = this.#checked(req)
      call = this.#call(req, res as unknown as LeftEvents, target, goOn)
      const isOwned = isOwn(call.path)
      if (isOwned && !isAboutJobs(call.path)) return own(call, res, this)
      const { cors } = this.manners
      if (cors && isPreflight(req)) return this.#answerPreflight(call, res, cors)
      const delivery = isOwned ? await jobs(call, this.#house, this.#closing.signal) : await this.#walk(call, req)
      const ending = this.#write(call, req, res, delivery)
      this.#accounts.settle(call, ending instanceof Promise ? await ending : ending)
    } catch (error) {
      this.#refuse(req, res, call ?? this.#rough(req, res), error)
    }
  }

  #walk(call: HttpCall, req: IncomingMessage): Delivery | Promise<Delivery> {
    return isPreflight(req) ? passPreflight(call, this.#house) : handle(call, this.#house)
  }

  #answerPreflight(call: HttpCall, res: ServerResponse, cors: Cors): void {
    call.facts.route = 'preflight'
    res.writeHead(204, [...cors.preflight(call.incoming), 'x-request-id', call.id]).end()
    this.#accounts.settle(call, { status: 204, outcome: 'bypassed' })
  }

  /** At once for what is in memory: a hit makes no promise that it does not need. */
  #write(call: HttpCall, req: IncomingMessage, res: ServerResponse, delivery: Delivery): Ending | Promise<Ending> {
    if (delivery.kind === 'proxy') return proxyWeb(call, req, res, delivery, this.#passthrough, this.manners)
    if (this.#left) res.shouldKeepAlive = false // or the drain would wait for a connection that nobody uses
    const { cors } = this.manners
    const status =
      delivery.kind === 'events'
        ? this.#streams.write(call, res, delivery, cors, this.#closing.signal)
        : deliver(call, res, delivery, this.#house.cache, cors)
    const ending = (status: number): Ending => ({ status, outcome: delivery.outcome })
    return typeof status === 'number' ? ending(status) : status.then(ending)
  }

  /** Throws REQUEST_INVALID for shapes that two parsers could read in two ways, DRAINING while we shut down. */
  #checked(req: IncomingMessage): { path: string; query: string } {
    const fault = protocolFault(req) ?? requestFault(req.rawHeaders, req.method!, req.url!)
    if (fault) throw new Refusal('REQUEST_INVALID', { detail: fault })
    const { path, query } = splitTarget(originForm(req.url!))
    const normal = normalPath(path)
    if (normal === null)
      throw new Refusal('REQUEST_INVALID', {
        detail: 'the path has dot segments, control characters or broken escapes',
      })
    if (this.#draining && (!isOwn(normal) || isAboutJobs(normal)))
      throw new Refusal('DRAINING', { retryAfterMs: 1_000 })
    return { path: normal, query }
  }

  #call(req: IncomingMessage, left: LeftEvents, target: { path: string; query: string }, goOn?: () => void): HttpCall {
    return new HttpCall(req, left, target, this.#house.clock.now(), this.manners.bodyBounds, this.#closing.signal, goOn)
  }

  /** For requests that were refused before their target was understood: they are logged and counted too. */
  #rough(req: IncomingMessage, left: unknown): HttpCall {
    return this.#call(req, left as LeftEvents, splitTarget(req.url!))
  }

  #refuse(req: IncomingMessage, res: ServerResponse, call: HttpCall, error: unknown): void {
    if (error instanceof ClientLeft || (res.destroyed && !res.headersSent)) {
      this.#accounts.settle(call, { status: 499, outcome: 'failed' })
      return
    }
    const refusal = this.#asRefusal(error, call)
    const ending: Ending = {
      status: refusal.status,
      outcome: refusal.status >= 500 && !isOurs(refusal) ? 'failed' : 'refused',
      code: refusal.code,
    }
    this.#accounts.settle(call, ending)
    if (res.headersSent) return void res.destroy()
    const { status, headers, body } = problemOf(refusal, call.id)
    const all = [...headers, 'content-length', `${body.length}`, 'x-request-id', call.id]
    if (this.#draining || refusal.code === 'REQUEST_INVALID') all.push('connection', 'close')
    if (refusal.code === 'REQUEST_INVALID') this.#condemn(req.socket)
    const { cors } = this.manners
    res.writeHead(status, cors ? cors.apply(all, req) : all).end(req.method === 'HEAD' ? undefined : body)
    if (!req.complete) linger(req)
  }

  #condemn(socket: Duplex): void {
    this.#condemned.add(socket)
    socket.once('close', () => this.#condemned.delete(socket))
  }

  /** The parser gave up. An answer that is under way for an earlier request would get this one in its middle. */
  #refuseBroken(error: Error, socket: Duplex): void {
    const refusal = clientFault(error)
    if (refusal) this.#house.metrics.refusals.inc({ tenant: 'anonymous', code: refusal.code })
    // node's own record of the answer whose turn it is on this connection
    const { _httpMessage: current } = socket as { _httpMessage?: ServerResponse | null }
    refuseRaw(socket, current && (current.headersSent || current.req.complete) ? null : refusal)
  }

  #asRefusal(error: unknown, call: HttpCall | undefined): Refusal {
    if (error instanceof Refusal) return error
    this.#house.log.error({ err: error, id: call?.id, route: call?.facts.route }, 'a request met a fault of ours')
    return new Refusal('INTERNAL', { cause: error })
  }

  async #upgrade(req: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    let call: HttpCall | undefined
    this.#upgraded.add(socket)
    socket.on('close', () => this.#upgraded.delete(socket))
    socket.on('error', () => socket.destroy())
    try {
      call = this.#call(req, socket, this.#checked(req))
      if (isOwn(call.path) || this.#house.policy.routes.find(call.method, call.path)?.mode === 'cache') {
        throw new Refusal('REQUEST_INVALID', { detail: 'this route does not take upgrades' })
      }
      if (announcesBody(req)) throw new Refusal('REQUEST_INVALID', { detail: 'an upgrade has no body' })
      const delivery = (await handle(call, this.#house)) as ProxyDelivery
      this.#accounts.settle(call, await proxyUpgrade(call, req, socket, head, delivery, this.#passthrough))
    } catch (error) {
      const refusal = this.#asRefusal(error, call)
      call ??= this.#rough(req, socket)
      this.#accounts.settle(call, { status: refusal.status, outcome: 'refused', code: refusal.code })
      refuseRaw(socket, refusal, call.id)
    }
  }

  /**
   * Takes no new connections; what comes on those there are is answered, on each for the last time. For who is replaced:
   * a connection may have been taken here whose request is still on its way, and node's own `close` would cut it off.
   */
  retire(): void {
    if (!this.#server.listening) return
    this.#left = once(this.#server, 'close')
    NetServer.prototype.close.call(this.#server)
  }

  /** Stops accepting, lets what runs finish up to the drain timeout, then cuts. A second call waits for the first. */
  drain(): Promise<void> {
    this.#drained ??= this.#drain()
    return this.#drained
  }

  async #drain(): Promise<void> {
    this.#draining = true
    this.#closing.abort()
    this.retire()
    if (!this.#left) return
    this.#server.close()
    this.#server.closeIdleConnections()
    const cut = setTimeout(() => {
      this.#server.closeAllConnections()
      for (const socket of this.#upgraded) socket.destroy()
    }, this.#options.drainTimeoutMs)
    for (const socket of this.#upgraded) socket.end() // a WebSocket has no end of its own
    await this.#left
    clearTimeout(cut)
  }
}

/** Refusals of status 5xx that are our own state, not a failure of the upstream. */
const isOurs = ({ code }: Refusal): boolean =>
  code === 'DRAINING' || code === 'QUEUE_TIMEOUT' || code === 'BREAKER_OPEN' || code === 'STORE_UNAVAILABLE'

const UNKNOWN_EXPECTATION = () =>
  new Refusal('REQUEST_INVALID', { detail: 'The only expectation known here is 100-continue.' })

function linger(req: IncomingMessage): void {
  req.resume()
  const timer = setTimeout(() => req.destroy(), LINGER_MS)
  req.once('end', () => clearTimeout(timer))
  req.once('close', () => clearTimeout(timer))
}

/** What node's strict parser refused, in our words. */
function clientFault(error: Error & { code?: string }): Refusal | null {
  if (error.code === 'HPE_HEADER_OVERFLOW') return new Refusal('HEADERS_TOO_LARGE')
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new Refusal('BODY_TIMEOUT', { detail: 'the headers did not arrive in time' })
  if (error.code?.startsWith('HPE_'))
    return new Refusal('REQUEST_INVALID', { detail: `not HTTP/1.1 as RFC 9112 has it (${error.code})` })
  return null // the connection broke: there is nobody to tell
}
