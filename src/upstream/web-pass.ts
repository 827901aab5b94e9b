/**
 * One request passed through. On node:http and not on http-proxy-3's `web`, which would not send what it was told
 * (version 2.0.1): it parses and rewrites the path (`/a/../b`, a lone `?`), drops trailers both ways, takes the
 * `Transfer-Encoding` from a DELETE with a body and so sends that body as the next request, starts the body before the
 * upstream said `100 Continue`, and leaves the client waiting when the upstream dies midway. Flat header lists both
 * ways also make this the faster way.
 */
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Refusal } from '../kernel/errors.ts'
import type { FlatHeaders } from '../kernel/exchange.ts'
import { noteStreamed } from '../kernel/young-memory.ts'
import { type Connections, whenConnected } from './connections.ts'
import type { Pass } from './pass.ts'
import { relay } from './relay.ts'
import { originForm } from './request-fault.ts'
import type { PassEnd } from './verdict.ts'

/** Upstreams that know no `Expect` never say "continue"; a sender need not wait for ever (RFC 9110 section 10.1.1). */
const CONTINUE_MS = 1_000
export const CONNECT_MS = 10_000
/** May be sent twice without harm, so a proxy may repeat them by itself (RFC 9110 section 9.2.2). */
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])
/** Methods to which node adds no framing of its own. */
const BODILESS = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS'])

export class WebPass {
  readonly done: Promise<void>
  readonly #connections: Connections
  readonly #req: IncomingMessage
  readonly #res: ServerResponse
  readonly #pass: Pass
  readonly #hasBody: boolean
  readonly #settle: { resolve: () => void; reject: (reason: unknown) => void }
  readonly #abandon = () => this.#end('left', this.#pass.signal?.reason)
  #request!: ClientRequest
  #onData: ((chunk: Buffer) => void) | null = null
  #connected = false
  #bodyBegun = false
  #repeated = false
  #status: number | null = null
  #over = false

  constructor(connections: Connections, req: IncomingMessage, res: ServerResponse, pass: Pass) {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.done = promise
    this.#settle = { resolve, reject }
    this.#connections = connections
    this.#req = req
    this.#res = res
    this.#pass = pass
    const { 'content-length': length, 'transfer-encoding': coding } = req.headers
    this.#hasBody = coding !== undefined || (length !== undefined && length !== '0')
    this.#send()
    res.on('close', () => this.#answerClosed())
    pass.signal?.addEventListener('abort', this.#abandon, { once: true })
    if (pass.signal?.aborted) this.#abandon()
  }

  #send(): void {
    const { target, path = originForm(this.#req.url!), host = target.host, timeoutMs } = this.#pass
    const headers = [...this.#pass.headers, ...this.#framing()]
    const method = this.#req.method!
    const request = this.#connections.request({ method, target, path, host, headers, fresh: this.#repeated })
    this.#request = request
    this.#connected = false
    request.setTimeout(timeoutMs, () => this.#silent())
    request.on('socket', (socket: Socket) => this.#onSocket(socket))
    request.on('response', (answer: IncomingMessage) => this.#onAnswer(answer))
    request.on('error', (error: NodeJS.ErrnoException) => this.#onError(error))
    if (!this.#hasBody) request.end()
  }

  #framing(): FlatHeaders {
    const { te, 'transfer-encoding': coding, 'content-length': length, trailer } = this.#req.headers
    const takesTrailers = /trailers/i.test(`${te}`)
    const headers = ['connection', takesTrailers ? 'keep-alive, te' : 'keep-alive']
    if (takesTrailers) headers.push('te', 'trailers')
    if (coding !== undefined) headers.push('transfer-encoding', 'chunked')
    // Without a length node would call the body chunked, and have one of no length.
    if (length === undefined && !this.#hasBody && !BODILESS.has(this.#req.method!)) headers.push('content-length', '0')
    if (coding !== undefined && trailer !== undefined && this.#pass.trailers) headers.push('trailer', trailer)
    if (this.#pass.awaitsContinue && this.#hasBody) headers.push('expect', '100-continue')
    return headers
  }

  #onSocket(socket: Socket): void {
    whenConnected(socket, this.#pass.connectTimeoutMs ?? CONNECT_MS, () => {
      this.#connected = true
      if (!this.#hasBody || this.#over) return
      if (this.#pass.awaitsContinue) this.#awaitContinue()
      else this.#sendBody()
    })
  }

  #awaitContinue(): void {
    const goOn = () => {
      clearTimeout(timer)
      if (this.#bodyBegun || this.#over || this.#status !== null) return
      this.#res.writeContinue()
      this.#sendBody()
    }
    const timer = setTimeout(goOn, CONTINUE_MS)
    this.#request.on('continue', goOn)
    this.#request.on('close', () => clearTimeout(timer))
    this.#request.flushHeaders()
  }

  /** Only once the connection stands: until then the request can be given to another URL, body and all. */
  #sendBody(): void {
    const req = this.#req
    const request = this.#request
    const lengthBytes = Number(req.headers['content-length'] ?? -1)
    this.#bodyBegun = true
    this.#onData = (chunk) => {
      noteStreamed(chunk.length)
      if (chunk.length === lengthBytes)
        request.end(chunk) // head and body in one write
      else if (!request.write(chunk)) req.pause()
    }
    req.on('data', this.#onData)
    request.on('drain', () => req.resume())
    req.on('end', () => {
      if (request.writableEnded || request.destroyed) return
      if (req.rawTrailers.length > 0 && this.#pass.trailers) request.addTrailers(this.#pass.trailers(req.rawTrailers))
      request.end()
    })
  }

  /** The rest of the body is left to whoever answers the client: to drain it, or to hang up. */
  #stopBody(): void {
    if (!this.#onData) return
    this.#req.off('data', this.#onData)
    this.#req.pause()
  }

  #onAnswer(answer: IncomingMessage): void {
    this.#status = answer.statusCode!
    // The client may be about to send a body that nobody asked for any more: this connection cannot be used again.
    if (this.#pass.awaitsContinue && this.#hasBody && !this.#bodyBegun) this.#res.shouldKeepAlive = false
    relay(answer, this.#res, {
      method: this.#req.method!,
      onHead: this.#pass.onHead,
      onEnd: (whole) => this.#end(whole ? 'none' : 'invalid'),
    })
  }

  #onError(error: NodeJS.ErrnoException): void {
    if (this.#over || this.#status !== null) return // an answer under way reports its own end
    if (this.#mayRepeat()) {
      this.#repeated = true
      this.#send()
      return
    }
    if (this.#connected) this.#end('invalid', brokenOff(error))
    else this.#end('unreachable', new Refusal('UPSTREAM_UNREACHABLE', { cause: error }))
  }

  /** A kept-alive connection that the upstream was just closing: no sign of anything but bad timing. */
  #mayRepeat(): boolean {
    return this.#request.reusedSocket && !this.#repeated && !this.#hasBody && SAFE.has(this.#req.method!)
  }

  /** Whose silence it was decides who is blamed: a client that does not send or read is not the upstream's fault. */
  #silent(): void {
    if (this.#over) this.#request.destroy()
    else if (this.#status !== null) this.#end(this.#res.writableNeedDrain ? 'left' : 'too-slow')
    else if (this.#bodyBegun && !this.#req.complete) this.#end('left', new Refusal('BODY_TIMEOUT'))
    else this.#end('too-slow', new Refusal('DEADLINE_EXCEEDED'))
  }

  #answerClosed(): void {
    if (!this.#res.writableFinished) this.#end('left')
    // Answered before its body had come. The upstream may still want the rest, and node will not say if it never comes.
    else if (this.#bodyBegun && !this.#req.complete) this.#req.socket.once('close', () => this.#request.destroy())
  }

  #end(failure: PassEnd['failure'], reason?: unknown): void {
    if (this.#over) return
    this.#over = true
    this.#pass.signal?.removeEventListener('abort', this.#abandon)
    if (failure !== 'none') this.#stop()
    const untouched = this.#status === null && !this.#connected && !this.#bodyBegun
    this.#pass.onDone?.({ status: this.#status, failure, untouched })
    if (reason !== undefined && this.#status === null) this.#settle.reject(reason)
    else this.#settle.resolve()
  }

  /** Neither side may take what there is for a whole exchange. */
  #stop(): void {
    this.#request.destroy()
    this.#stopBody()
    if (this.#status !== null && !this.#res.writableFinished) this.#res.destroy()
  }
}

export function brokenOff(cause: unknown): Refusal {
  return new Refusal('UPSTREAM_INVALID', {
    cause,
    detail: 'The upstream closed the connection without a usable answer.',
  })
}
