import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FlatHeaders } from '../kernel/exchange.ts'
import { noteStreamed } from '../kernel/young-memory.ts'
import { endToEnd, passableTrailers } from './hop-by-hop.ts'

export interface RelayOptions {
  method: string
  /** Sees the head before it is written and may change its headers in place. */
  onHead: ((status: number, headers: FlatHeaders) => void) | undefined
  /** Called once: whether the answer arrived whole. If not, the client's connection has been destroyed. */
  onEnd: (whole: boolean) => void
}

/**
 * Streams an upstream's answer to a client, no faster than the client reads and no later than the upstream writes.
 * An answer that breaks off breaks off for the client too: ended cleanly, half an answer would look like a whole one.
 */
export function relay(answer: IncomingMessage, res: ServerResponse, { method, onHead, onEnd }: RelayOptions): void {
  const status = answer.statusCode!
  const headers = endToEnd(answer.rawHeaders)
  const hasBody = method !== 'HEAD' && status !== 204 && status !== 304
  const lengthBytes = Number(answer.headers['content-length'] ?? -1)
  const announced = answer.headers.trailer
  // Only chunks can carry trailers, and HTTP/1.0 has none.
  if (announced && hasBody && lengthBytes < 0 && answer.httpVersionMinor === 1 && res.req.httpVersionMinor === 1) {
    headers.push('trailer', announced)
  }
  onHead?.(status, headers)
  res.writeHead(status, answer.statusMessage ?? '', headers)

  let begun = false
  answer.on('data', (chunk: Buffer) => {
    begun = true
    noteStreamed(chunk.length)
    if (chunk.length === lengthBytes)
      res.end(chunk) // head and body in one write
    else if (!res.write(chunk)) answer.pause()
  })
  res.on('drain', () => answer.resume())
  answer.on('end', () => {
    begun = true
    if (!res.writableEnded) {
      if (answer.rawTrailers.length > 0) res.addTrailers(passableTrailers(answer.rawTrailers))
      res.end()
    }
    onEnd(true)
  })
  answer.on('error', () => {
    if (!res.writableEnded) res.destroy()
    onEnd(res.writableEnded && answer.complete)
  })
  // node keeps the head back until there is a body; a stream of events may stay silent for long.
  setImmediate(() => {
    if (!begun && !res.destroyed) res.flushHeaders()
  })
}
