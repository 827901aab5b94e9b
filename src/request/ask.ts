import { decodeUpstream } from '../cache/coding.ts'
import { Refusal } from '../kernel/errors.ts'
import type { FlatHeaders } from '../kernel/exchange.ts'
import { endToEnd } from '../upstream/hop-by-hop.ts'
import type { Reply } from '../upstream/upstream.ts'
import type { Fetched } from './fetched.ts'
import type { House } from './house.ts'
import type { Query } from './query.ts'

/** Asks once, and reads the answer whole unless it is too large. A body that breaks off throws UPSTREAM_INVALID. */
export async function askUpstream(query: Query, signal: AbortSignal, house: House): Promise<Fetched> {
  const startedAt = house.clock.now()
  const { upstream, idempotent } = query
  const tenant = query.caller?.tenant ?? ''
  // Callers leave by their own deadlines; the upstream's timeout alone ends what they share.
  const reply = await upstream.ask({ ...query.ask, signal, timeoutMs: Number.POSITIVE_INFINITY, tenant, idempotent })
  const read: Buffer[] = []
  let bytes = 0
  const chunks = reply.body[Symbol.asyncIterator]()
  for (;;) {
    const next = await chunks.next()
    if (next.done) break
    read.push(next.value)
    bytes += next.value.length
    if (bytes > query.cache.maxEntryBytes) {
      return { kind: 'large', reply: { ...reply, body: resumed(chunks, reply) }, read }
    }
  }
  return whole(reply, Buffer.concat(read), query, house.clock.now() - startedAt)
}

async function whole(reply: Reply, body: Buffer, query: Query, computeMs: number): Promise<Fetched> {
  const coding = valuesOf(reply.headers, 'content-encoding').join(',')
  return {
    kind: 'whole',
    status: reply.status,
    received: reply.headers,
    headers: deliverable(reply.headers),
    cookies: valuesOf(reply.headers, 'set-cookie').flatMap((value) => ['set-cookie', value]),
    body: coding === '' ? body : await decoded(coding, body, query),
    computeMs,
    framed: reply.framed,
  }
}

/** Made anew with each delivery, or kept apart for the one client they are for. */
const MADE_HERE = new Set(['content-length', 'content-encoding', 'set-cookie', 'x-request-id'])

/** An answer's own headers, names in lower case: also those that no stored answer may have, such as Retry-After. */
function deliverable(received: FlatHeaders): FlatHeaders {
  const headers: FlatHeaders = []
  const passed = endToEnd(received)
  for (let i = 0; i < passed.length; i += 2) {
    const name = passed[i]!.toLowerCase()
    if (!MADE_HERE.has(name)) headers.push(name, passed[i + 1]!)
  }
  return headers
}

/** We ask for no coding; an upstream that sends one all the same must have sent it whole, and not a bomb. */
async function decoded(coding: string, body: Buffer, query: Query): Promise<Buffer> {
  try {
    return await decodeUpstream(coding, body, query.cache.maxEntryBytes * 8)
  } catch (cause) {
    throw new Refusal('UPSTREAM_INVALID', { detail: `the upstream's ${coding} body does not decode`, cause })
  }
}

function resumed(chunks: AsyncIterator<Buffer>, reply: Reply): Reply['body'] {
  return {
    [Symbol.asyncIterator]: () => chunks,
    destroy: (error) => reply.body.destroy(error),
  }
}

export function valuesOf(headers: FlatHeaders, name: string): string[] {
  const values: string[] = []
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) values.push(headers[i + 1]!)
  return values
}
