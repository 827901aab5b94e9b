import type { IncomingMessage } from 'node:http'
import { Refusal } from '../kernel/errors.ts'
import { formatDuration, formatSize } from '../kernel/units.ts'
import { ClientLeft } from './client-left.ts'

export interface BodyBounds {
  /** server.bodyLimit */
  maxBytes: number
  /** server.bodyTimeout: a body that has not arrived whole by then is given up. */
  timeoutMs: number
}

const EMPTY = Buffer.alloc(0)

/**
 * Reads a request's body whole. Rejects with BODY_TOO_LARGE as soon as that is known, BODY_TIMEOUT, or ClientLeft.
 * @param goOn called once it is clear that the body is wanted (100 Continue)
 */
export function readBody(req: IncomingMessage, bounds: BodyBounds, goOn: () => void): Promise<Buffer> {
  const announced = Number(req.headers['content-length'] ?? -1)
  if (announced > bounds.maxBytes) return Promise.reject(tooLarge(bounds.maxBytes))
  if (announced === 0 || (announced < 0 && req.headers['transfer-encoding'] === undefined)) {
    return Promise.resolve(EMPTY)
  }
  goOn()
  return new Promise((resolve, reject) => void new Reading(req, bounds, resolve, reject))
}

/**
 * Bodies on their way, as a ring that each is tied into: one clock for all, because a timer for each would cost more than
 * reading most of them, and no Set, whose tables outlive the collections of the young generation when it grows and
 * shrinks with every request.
 */
interface Link {
  before: Link
  after: Link
}

const awaited = {} as Link
awaited.before = awaited
awaited.after = awaited

setInterval(() => {
  const nowAt = performance.now()
  for (let link = awaited.after; link !== awaited; ) {
    const { after } = link // the check may untie it
    ;(link as Reading).check(nowAt)
    link = after
  }
}, 50).unref()

/** One body on its way. */
class Reading implements Link {
  before: Link
  after: Link
  readonly #req: IncomingMessage
  readonly #bounds: BodyBounds
  readonly #resolve: (body: Buffer) => void
  readonly #reject: (error: Error) => void
  /** One chunk is the rule, and needs no copy. */
  #first: Buffer | null = null
  #rest: Buffer[] | null = null
  #bytes = 0
  #givenUpAt: number | undefined

  constructor(
    req: IncomingMessage,
    bounds: BodyBounds,
    resolve: (body: Buffer) => void,
    reject: (error: Error) => void,
  ) {
    this.#req = req
    this.#bounds = bounds
    this.#resolve = resolve
    this.#reject = reject
    req.on('data', (chunk: Buffer) => this.#take(chunk))
    req.on('end', () => this.#end())
    this.before = awaited.before
    this.after = awaited
    this.before.after = this
    awaited.before = this
  }

  /** Called now and then while the body has not come. */
  check(nowAt: number): void {
    const { timeoutMs } = this.#bounds
    this.#givenUpAt ??= nowAt + timeoutMs
    if (this.#req.destroyed && !this.#req.complete) this.#fail(new ClientLeft())
    else if (nowAt >= this.#givenUpAt) this.#fail(tooSlow(timeoutMs))
  }

  #take(chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes > this.#bounds.maxBytes) this.#fail(tooLarge(this.#bounds.maxBytes))
    else if (this.#first === null) this.#first = chunk
    else {
      this.#rest ??= [this.#first]
      this.#rest.push(chunk)
    }
  }

  /** Twice does no harm. */
  #untie(): void {
    this.before.after = this.after
    this.after.before = this.before
    this.before = this
    this.after = this
  }

  #end(): void {
    this.#untie()
    this.#resolve(this.#rest ? Buffer.concat(this.#rest, this.#bytes) : (this.#first ?? EMPTY))
  }

  #fail(error: Error): void {
    this.#untie()
    this.#req.removeAllListeners('data')
    this.#first = null
    this.#rest = null
    this.#reject(error)
  }
}

const tooLarge = (maxBytes: number) =>
  new Refusal('BODY_TOO_LARGE', { detail: `the body may have ${formatSize(maxBytes)} (server.bodyLimit)` })
const tooSlow = (timeoutMs: number) =>
  new Refusal('BODY_TIMEOUT', {
    detail: `the body must arrive within ${formatDuration(timeoutMs)} (server.bodyTimeout)`,
  })
