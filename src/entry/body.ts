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
export function readBody(req: IncomingMessage, { maxBytes, timeoutMs }: BodyBounds, goOn: () => void): Promise<Buffer> {
  const announced = Number(req.headers['content-length'] ?? -1)
  if (announced > maxBytes) return Promise.reject(tooLarge(maxBytes))
  if (announced === 0 || (announced < 0 && req.headers['transfer-encoding'] === undefined))
    return Promise.resolve(EMPTY)
  goOn()
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] | Buffer = EMPTY
    let bytes = 0
    const timer = setTimeout(() => fail(tooSlow(timeoutMs)), timeoutMs)
    const fail = (error: Error) => {
      clearTimeout(timer)
      req.off('data', onData)
      reject(error)
    }
    const onData = (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > maxBytes) return fail(tooLarge(maxBytes))
      if (Array.isArray(chunks)) chunks.push(chunk)
      else chunks = chunks === EMPTY ? chunk : [chunks, chunk] // one chunk is the rule
    }
    req.on('data', onData)
    req.on('end', () => {
      clearTimeout(timer)
      resolve(Array.isArray(chunks) ? Buffer.concat(chunks, bytes) : chunks)
    })
    req.on('close', () => {
      if (!req.complete) fail(new ClientLeft())
    })
  })
}

const tooLarge = (maxBytes: number) =>
  new Refusal('BODY_TOO_LARGE', { detail: `the body may have ${formatSize(maxBytes)} (server.bodyLimit)` })
const tooSlow = (timeoutMs: number) =>
  new Refusal('BODY_TIMEOUT', {
    detail: `the body must arrive within ${formatDuration(timeoutMs)} (server.bodyTimeout)`,
  })
