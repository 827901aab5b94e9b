import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { Refusal } from '../kernel/errors.ts'
import type { Delivery, JobEvent } from '../request/delivery.ts'
import type { Cors } from './cors.ts'
import { ownHeaders, withCors } from './deliver.ts'
import type { HttpCall } from './http-call.ts'

/** How soon a client whose stream broke comes back, ms. */
const RETRY_MS = 1_000

/** Streams of events at a time in one process: each keeps a connection, and looks at its job now and then. */
const MAX_STREAMS = 1_000
const FULL_RETRY_MS = 5_000

type Events = Extract<Delivery, { kind: 'events' }>

/** Streams of events, as the HTML standard has them (section 9.2, server-sent events). */
export class EventStreams {
  readonly #max: number
  #open = 0

  constructor({ max = MAX_STREAMS }: { max?: number } = {}) {
    this.#max = max
  }

  /**
   * Returns the status that was sent, once the stream is over: with its job, its client, or the gateway.
   * @param closing aborts when the gateway shuts down
   */
  async write(
    call: HttpCall,
    res: ServerResponse,
    delivery: Events,
    cors: Cors | null,
    closing: AbortSignal,
  ): Promise<number> {
    const head = withCors([...HEAD, ...ownHeaders(call, delivery)], call, cors)
    if (call.method === 'HEAD') res.writeHead(200, head).end()
    else await this.#counted(() => stream(call, res, delivery, head, closing))
    return 200
  }

  async #counted(work: () => Promise<void>): Promise<void> {
    if (this.#open >= this.#max) {
      const detail = `this process has ${this.#max} streams of events open, and no more; ask without Accept: text/event-stream`
      throw new Refusal('RATE_LIMITED', { detail, retryAfterMs: FULL_RETRY_MS })
    }
    this.#open++
    try {
      await work()
    } finally {
      this.#open--
    }
  }
}

/** nginx holds answers back to fill its buffers unless it is told not to. */
const HEAD = ['content-type', 'text/event-stream', 'cache-control', 'no-store', 'x-accel-buffering', 'no']

/** The head goes with the first event: what fails until then is told as a problem. Nothing piles up for a slow client. */
async function stream(
  call: HttpCall,
  res: ServerResponse,
  { events }: Events,
  head: string[],
  closing: AbortSignal,
): Promise<void> {
  const signal = AbortSignal.any([call.signal, closing])
  for await (const event of events(signal)) {
    if (!res.headersSent) res.writeHead(200, head)
    if (!res.write(textOf(event))) await once(res, 'drain', { signal }).catch(() => {})
    if (signal.aborted) break
  }
  res.end(() => {
    if (closing.aborted) call.incoming.socket.end() // its head promised to keep the connection
  })
}

function textOf(event: JobEvent): string {
  if (event.kind === 'open') return `retry: ${RETRY_MS}\n\n`
  if (event.kind === 'heartbeat') return ': nothing new\n\n'
  const { revision, document } = event
  return `id: ${revision}\nevent: ${document.status}\ndata: ${JSON.stringify(document)}\n\n`
}
