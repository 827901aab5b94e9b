/**
 * One request on one connection, as undici's dispatch handler. Written out instead of `pool.request` because three
 * things matter here that it hides: whether a byte was sent (then the upstream may have started), header bytes as they
 * came, and that an abort is felt at once, also by a request that still waits for its connection.
 */
import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { Refusal } from '../kernel/errors.ts'
import type { FlatHeaders } from '../kernel/exchange.ts'

export interface Head {
  status: number
  headers: FlatHeaders
  body: WireBody
}

export type WireEnd =
  /** The body arrived as its framing says. */
  | { how: 'whole' }
  /** This side ended it: cancelled, or nobody wanted the rest of the body. */
  | { how: 'left' }
  | { how: 'failed'; error: Error }

export class Wire implements Dispatcher.DispatchHandler {
  readonly head: Promise<Head>
  /** False until the request is written to a connection. */
  sent = false
  /** Null until a head arrived; known before `head` resolves, for a short answer may have ended by then. */
  status: number | null = null
  readonly #settle: { resolve: (head: Head) => void; reject: (reason: unknown) => void }
  readonly #onEnd: (end: WireEnd) => void
  #controller: Dispatcher.DispatchController | null = null
  #body: WireBody | null = null
  #ended = false

  /** @param onEnd called once, when the connection is done with this request */
  constructor(onEnd: (end: WireEnd) => void) {
    const { promise, resolve, reject } = Promise.withResolvers<Head>()
    promise.catch(() => {}) // who cancels before asking for the head need not be told
    this.head = promise
    this.#settle = { resolve, reject }
    this.#onEnd = onEnd
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Ends the request with this reason and closes its connection. */
  cancel(reason: unknown): void {
    if (this.#ended) return
    this.#fail(reason, { how: 'left' })
    this.#controller?.abort(asError(reason))
  }

  /** From the body: the reader wants more. */
  more(): void {
    this.#controller?.resume()
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Thrown, not aborted: undici then drops the request and keeps the connection, on which nothing was written.
    if (this.#ended) throw new Error('cancelled before it was sent')
    this.#controller = controller
    this.sent = true
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (status < 200 || this.#ended) return
    this.status = status
    this.#body = new WireBody(this)
    this.#settle.resolve({ status, headers: flat(controller.rawHeaders), body: this.#body })
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#body?.push(chunk) === false) controller.pause()
  }

  onResponseEnd(): void {
    if (!this.#end({ how: 'whole' })) return
    this.#body?.push(null)
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#ended) return
    const cutShort = new Refusal('UPSTREAM_INVALID', {
      detail: 'The answer of the upstream was cut short.',
      cause: error,
    })
    this.#fail(this.#body ? cutShort : error, { how: 'failed', error })
  }

  #fail(reason: unknown, end: WireEnd): void {
    if (!this.#end(end)) return
    if (this.#body) this.#body.destroy(asError(reason))
    else this.#settle.reject(reason)
  }

  #end(end: WireEnd): boolean {
    if (this.#ended) return false
    this.#ended = true
    this.#onEnd(end)
    return true
  }
}

/** The body as it comes, no faster than it is read. Destroying it before its end closes the connection. */
export class WireBody extends Readable {
  readonly #wire: Wire

  constructor(wire: Wire) {
    super()
    this.#wire = wire
    this.on('error', () => {}) // told to whoever iterates; nobody iterating is no reason to bring the process down
  }

  override _read(): void {
    this.#wire.more()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#wire.cancel(error ?? new Error('nobody wants the rest'))
    done(error)
  }
}

const asError = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)))

function flat(raw: Dispatcher.DispatchController['rawHeaders']): FlatHeaders {
  const headers: FlatHeaders = []
  if (!Array.isArray(raw)) return headers
  for (let i = 0; i < raw.length; i += 2) headers.push(text(raw[i]!).toLowerCase(), text(raw[i + 1]!))
  return headers
}

/** latin1 both ways, as node does, so that every byte survives. */
const text = (value: Buffer | string): string => (typeof value === 'string' ? value : value.toString('latin1'))
