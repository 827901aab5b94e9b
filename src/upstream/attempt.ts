import type { Dispatcher } from 'undici'
import type { Clock } from '../kernel/clock.ts'
import { Refusal } from '../kernel/errors.ts'
import type { FlatHeaders } from '../kernel/exchange.ts'
import type { Permit, Verdict } from './breaker.ts'
import type { Limit } from './limit.ts'
import { parseRetryAfterMs } from './retry.ts'
import type { Target, Targets } from './targets.ts'
import { isOurFault, verdictOfAsk, verdictOfStatus } from './verdict.ts'
import { type Head, Wire, type WireEnd } from './wire.ts'

export interface Ask {
  method: string
  /** Path and query, sent as they stand behind the URL's base path. */
  target: string
  headers: FlatHeaders
  body: Buffer | null
  signal: AbortSignal
  /** The caller's own limit; the shorter of it and the upstream's counts. */
  timeoutMs: number
  tenant: string
  /** May be sent again after a failure of which nothing is known. */
  idempotent: boolean
  /** Tries in all; unset: as the upstream's settings say. */
  attempts?: number
}

export interface Reply {
  status: number
  /** Lower case, duplicates kept, hop-by-hop ones still inside. */
  headers: FlatHeaders
  body: AsyncIterable<Buffer> & { destroy(error?: Error): void }
  /** The URL that answered. */
  url: string
  /** What a 429 or 503 asked for; null for any other answer. */
  retryAfterMs: number | null
  /** False when only the end of the connection ends the body, so that nobody can know whether it is whole. */
  framed: boolean
}

export interface Done {
  target: Target
  status: number | null
  verdict: Verdict
  startedAt: number
}

export interface AttemptParts {
  ask: Ask
  limit: Limit
  permit: Permit
  target: Target
  targets: Targets
  clock: Clock
  /** Whether a passed deadline was the upstream's own, and not a shorter one of the tenant's. */
  limitIsUpstreams: boolean
  onDone: (done: Done) => void
}

/** One try: a permit of the breaker, a place on one URL, one wire. Used once. */
export class Attempt {
  readonly #parts: AttemptParts
  readonly #startedAt: number
  readonly #wire: Wire
  #handedOver = false
  reply: Reply | null = null
  error: Error | null = null

  constructor(parts: AttemptParts) {
    this.#parts = parts
    this.#startedAt = parts.clock.now()
    this.#wire = new Wire((end) => this.#wireEnded(end))
    parts.target.busy++
  }

  get target(): Target {
    return this.#parts.target
  }

  /** False: the upstream cannot have started. */
  get sent(): boolean {
    return this.#wire.sent
  }

  /** Leaves the reply or an error in this object; throws only what ends the whole ask. */
  async run(): Promise<void> {
    const { target, limit } = this.#parts
    await this.#takePlace()
    const cancel = () => this.#wire.cancel(limit.signal.reason)
    limit.signal.addEventListener('abort', cancel, { once: true })
    target.pool.dispatch(dispatchOptions(this.#parts.ask, target), this.#wire)
    try {
      this.reply = this.#received(await this.#wire.head)
    } catch (error) {
      limit.signal.removeEventListener('abort', cancel)
      if (limit.signal.aborted || isOurFault(error)) throw error
      if (!this.sent) this.#parts.targets.note(target, 'refused')
      this.error = refusalFor(error, this.sent)
    }
  }

  /** The outcome of this attempt is that of the ask; its limit holds until the body has ended. */
  handOver(): Reply {
    this.#handedOver = true
    if (this.#wire.ended) this.#parts.limit.end()
    if (!this.reply) throw this.error
    return this.reply
  }

  async #takePlace(): Promise<void> {
    try {
      await this.#parts.target.line.enter(this.#parts.limit.signal)
    } catch (reason) {
      this.#report('unknown')
      throw reason
    }
  }

  #received(head: Head): Reply {
    const { permit, targets, target, clock } = this.#parts
    targets.note(target, 'worked')
    // A probe is judged by its head, for its body may take long and the breaker waits; a sick status needs no body.
    const verdict = verdictOfStatus(head.status)
    if (permit.isProbe || verdict === 'sick') permit.end(verdict)
    const asksToWait = head.status === 429 || head.status === 503
    return {
      ...head,
      url: target.url.href,
      retryAfterMs: asksToWait ? parseRetryAfterMs(headerOf(head.headers, 'retry-after'), clock.now()) : null,
      framed: isFramed(head, this.#parts.ask.method),
    }
  }

  #wireEnded(end: WireEnd): void {
    const { limit, limitIsUpstreams, target, targets } = this.#parts
    const facts = {
      status: this.#wire.status,
      tooSlow: limit.expired && limitIsUpstreams,
      aborted: limit.signal.aborted,
    }
    target.line.leave()
    const isElsewhere = end.how === 'failed' && !this.sent && targets.hasOther(target)
    this.#report(isElsewhere ? 'unknown' : verdictOfAsk(end, facts))
    if (this.#handedOver) limit.end()
  }

  #report(verdict: Verdict): void {
    const { target, permit, onDone } = this.#parts
    target.busy--
    permit.end(verdict)
    onDone({ target, status: this.#wire.status, verdict, startedAt: this.#startedAt })
  }
}

function dispatchOptions(ask: Ask, target: Target): Dispatcher.DispatchOptions {
  return { method: ask.method, path: target.path(ask.target), headers: ask.headers, body: ask.body }
}

function refusalFor(cause: unknown, sent: boolean): Refusal {
  if (!sent) return new Refusal('UPSTREAM_UNREACHABLE', { cause })
  return new Refusal('UPSTREAM_INVALID', {
    cause,
    detail: 'The upstream closed the connection without a usable answer.',
  })
}

/** An answer has an end of its own when it has a length, chunks, or no body at all (RFC 9112 section 6.3). */
function isFramed({ status, headers }: Head, method: string): boolean {
  if (method === 'HEAD' || status === 204 || status === 304) return true
  if (headerOf(headers, 'content-length') !== undefined) return true
  return headerOf(headers, 'transfer-encoding')?.toLowerCase().endsWith('chunked') === true
}

function headerOf(headers: FlatHeaders, lowerName: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === lowerName) return headers[i + 1]
  return undefined
}
