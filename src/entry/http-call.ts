import { randomBytes } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Call, Facts, Peer, Timings } from '../request/call.ts'
import { type BodyBounds, readBody } from './body.ts'
import { ClientLeft } from './client-left.ts'

/** Ids of this process: a random prefix and a counter. Unique in the fleet, and cheap. */
const PREFIX = randomBytes(9).toString('base64url')
let made = 0

/** What a client may choose as its request id: it goes into logs and headers. */
const SANE_ID = /^[\w.:@/+=-]{1,128}$/

/** A call that came by HTTP. */
export class HttpCall implements Call {
  readonly id: string
  readonly method: string
  readonly path: string
  readonly query: string
  readonly headers: IncomingHttpHeaders
  readonly startedAt: number
  readonly timings: Timings = { auth: 0, cache: 0, queue: 0, upstream: 0 }
  readonly facts: Facts = { tenant: null, principal: null, route: '', key: undefined }
  readonly incoming: IncomingMessage
  readonly closing: AbortSignal
  /** Monotonic, for durations. */
  readonly startedMs: number
  readonly #bounds: BodyBounds
  readonly #left: LeftEvents
  readonly #goOn: (() => void) | undefined
  #leaving: AbortController | undefined

  /**
   * @param left emits `close` when the connection, or the answer's side of it, ends
   * @param goOn says 100 Continue to a client that waits for it before it sends its body
   */
  constructor(
    req: IncomingMessage,
    left: LeftEvents,
    target: { path: string; query: string },
    nowAt: number,
    bounds: BodyBounds,
    closing: AbortSignal,
    goOn?: () => void,
  ) {
    const given = req.headers['x-request-id']
    this.id = typeof given === 'string' && SANE_ID.test(given) ? given : `${PREFIX}${(++made).toString(36)}`
    this.method = req.method!
    this.path = target.path
    this.query = target.query
    this.headers = req.headers
    this.startedAt = nowAt
    this.startedMs = performance.now()
    this.incoming = req
    this.closing = closing
    this.#left = left
    this.#bounds = bounds
    this.#goOn = goOn
  }

  get rawHeaders(): readonly string[] {
    return this.incoming.rawHeaders
  }

  get peer(): Peer {
    const { socket } = this.incoming
    return { address: socket.remoteAddress ?? '', scheme: (socket as TLSSocket).encrypted === true ? 'https' : 'http' }
  }

  body(): Promise<Buffer> {
    return readBody(this.incoming, this.#bounds, () => this.goOn())
  }

  /** The client sends its body only after a 100 Continue. */
  get awaitsContinue(): boolean {
    return this.#goOn !== undefined
  }

  /** The request was let in: its body may come. */
  goOn(): void {
    this.#goOn?.()
  }

  get signal(): AbortSignal {
    if (!this.#leaving) {
      const leaving = new AbortController()
      this.#leaving = leaving
      const end = () => {
        if (!this.#left.writableFinished) leaving.abort(new ClientLeft())
      }
      if (this.#left.destroyed) end()
      else this.#left.once('close', end)
    }
    return this.#leaving.signal
  }
}

/** The part of a response or a socket that tells when its client has gone. */
export type LeftEvents = Pick<Duplex, 'once' | 'destroyed' | 'writableFinished'>
