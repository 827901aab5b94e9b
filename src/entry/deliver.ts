import type { ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { Body, Cache } from '../cache/cache.ts'
import { acceptedCodings } from '../cache/coding.ts'
import { notModified } from '../cache/conditional.ts'
import type { Entry } from '../cache/entry.ts'
import type { FlatHeaders } from '../kernel/exchange.ts'
import { noteStreamed } from '../kernel/young-memory.ts'
import { rateHeaders } from '../limits/headers.ts'
import type { Delivery, Said } from '../request/delivery.ts'
import { endToEnd } from '../upstream/hop-by-hop.ts'
import { ClientLeft } from './client-left.ts'
import type { Cors } from './cors.ts'
import type { HttpCall } from './http-call.ts'

type Written = Exclude<Delivery, { kind: 'proxy' | 'events' }>

/** Writes what the walk decided. Returns the status that was sent. */
export function deliver(
  call: HttpCall,
  res: ServerResponse,
  delivery: Written,
  cache: Cache,
  cors: Cors | null,
): number | Promise<number> {
  if (delivery.kind === 'entry') return deliverEntry(call, res, delivery, cache, cors)
  if (delivery.kind === 'answer') return deliverAnswer(call, res, delivery, cors)
  return delivery.kind === 'result'
    ? deliverResult(call, res, delivery, cors)
    : deliverStream(call, res, delivery, cors)
}

function deliverAnswer(
  call: HttpCall,
  res: ServerResponse,
  delivery: Extract<Written, { kind: 'answer' }>,
  cors: Cors | null,
): number {
  const { status, headers, body } = delivery.answer
  const all = withCors([...headers, ...ownHeaders(call, delivery), ...rateNotice(delivery)], call, cors)
  if (hasBody(status)) all.push('content-length', `${body.length}`)
  res.writeHead(status, all).end(call.method === 'HEAD' ? undefined : body)
  return status
}

/** A status that never has a body (RFC 9110 6.4.1) must not announce one. */
const hasBody = (status: number): boolean => status !== 204 && status !== 304

/** The head waits for the first piece: what fails until then is told as a problem, what fails later must look broken. */
async function deliverResult(
  call: HttpCall,
  res: ServerResponse,
  delivery: Extract<Written, { kind: 'result' }>,
  cors: Cors | null,
): Promise<number> {
  const { status, headers, bytes, body } = delivery
  const all = withCors([...headers, ...ownHeaders(call, delivery), ...rateNotice(delivery)], call, cors)
  if (hasBody(status)) all.push('content-length', `${bytes}`)
  if (call.method === 'HEAD' || !hasBody(status)) {
    res.writeHead(status, all).end()
    return status
  }
  try {
    const first = await body.next()
    res.writeHead(status, all)
    await pipeline(rest(first.done ? [] : [first.value], body), res)
  } catch (error) {
    throw isOfTheClient(error) ? new ClientLeft() : error
  } finally {
    await body.return(undefined)
  }
  return status
}

const isOfTheClient = (error: unknown): boolean =>
  (error as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE'

async function deliverStream(
  call: HttpCall,
  res: ServerResponse,
  delivery: Extract<Written, { kind: 'stream' }>,
  cors: Cors | null,
): Promise<number> {
  const head = [...ownHeaders(call, delivery), ...rateNotice(delivery)]
  const { reply, read } = delivery
  res.writeHead(reply.status, withCors([...passedHeaders(endToEnd(reply.headers)), ...head], call, cors))
  try {
    await pipeline(rest(read, reply.body), res)
  } catch (error) {
    reply.body.destroy()
    res.destroy() // what broke half way must look broken to the client as well
    throw error
  }
  return reply.status
}

async function* rest(read: Buffer[], body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for (let chunk = read.shift(); chunk; chunk = read.shift()) yield chunk
  for await (const chunk of body) {
    noteStreamed(chunk.length)
    yield chunk
  }
}

/** The hit path: one head, one end, and no copy of the body. */
function deliverEntry(
  call: HttpCall,
  res: ServerResponse,
  delivery: Extract<Written, { kind: 'entry' }>,
  cache: Cache,
  cors: Cors | null,
): number | Promise<number> {
  const { entry } = delivery
  const body = cache.bodyFor(entry, acceptedCodings(call.headers['accept-encoding'] as string | undefined))
  return body instanceof Promise
    ? body.then((made) => writeEntry(call, res, delivery, made, cors))
    : writeEntry(call, res, delivery, body, cors)
}

function writeEntry(
  call: HttpCall,
  res: ServerResponse,
  delivery: Extract<Written, { kind: 'entry' }>,
  variant: Body,
  cors: Cors | null,
): number {
  const { entry } = delivery
  const isNotModified = (call.method === 'GET' || call.method === 'HEAD') && notModified(entry, call.headers)
  const headers = (isNotModified ? headOf(entry, variant) : fullHeadOf(entry, variant)).slice()
  headers.push('age', `${Math.floor(delivery.ageMs / 1_000)}`, 'cache-status', `sluice; ${delivery.cacheStatus}`)
  headers.push('x-request-id', call.id, 'server-timing', serverTiming(call))
  if (delivery.rate) headers.push(...rateNotice(delivery))
  if (delivery.cookies) headers.push(...delivery.cookies)
  const status = isNotModified ? 304 : entry.status
  res.writeHead(status, cors ? cors.apply(headers, call.incoming) : headers)
  if (isNotModified || call.method === 'HEAD') res.end()
  else res.end(variant.body)
  return status
}

/** What is the same in every answer by one body, made once. It goes with the body. */
const heads = new WeakMap<Body, FlatHeaders>()

function fullHeadOf(entry: Entry, variant: Body): FlatHeaders {
  const known = heads.get(variant)
  if (known) return known
  const head = headOf(entry, variant)
  if (variant.coding !== 'identity') head.push('content-encoding', variant.coding)
  head.push('content-length', `${variant.body.length}`)
  heads.set(variant, head)
  return head
}

function headOf(entry: Entry, variant: Body): FlatHeaders {
  const head = [...entry.headers, 'etag', variant.etag]
  const at = entry.headers.indexOf('vary')
  if (at === -1) head.push('vary', 'Accept-Encoding')
  else if (!/accept-encoding|\*/i.test(head[at + 1]!)) head[at + 1] += ', Accept-Encoding'
  return head
}

export const withCors = (headers: FlatHeaders, call: HttpCall, cors: Cors | null): FlatHeaders =>
  cors ? cors.apply(headers, call.incoming) : headers

/** The gateway's own headers on every answer (CONTRACT 4). */
export function ownHeaders(call: HttpCall, { cacheStatus }: Pick<Said, 'cacheStatus'>): FlatHeaders {
  const cached = cacheStatus === undefined ? [] : ['cache-status', `sluice; ${cacheStatus}`]
  return [...cached, 'x-request-id', call.id, 'server-timing', serverTiming(call)]
}

function serverTiming({ timings }: HttpCall): string {
  const isForwarded = timings.queue + timings.upstream > 0
  const rest = isForwarded ? `, queue;dur=${timings.queue}, upstream;dur=${timings.upstream}` : ''
  return `auth;dur=${timings.auth}, cache;dur=${timings.cache}${rest}`
}

/** An upstream's headers without those that are ours alone to say. */
export function passedHeaders(headers: FlatHeaders): FlatHeaders {
  const passed: FlatHeaders = []
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i]!.toLowerCase() !== 'x-request-id') passed.push(headers[i]!, headers[i + 1]!)
  }
  return passed
}

export function rateNotice({ rate }: Pick<Said, 'rate'>): FlatHeaders {
  return rate ? rateHeaders('requests', rate.limit, rate.grant) : []
}
