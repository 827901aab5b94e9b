import type { Coding } from '../kernel/exchange.ts'
import type { Entry } from './entry.ts'

const CODINGS: readonly Coding[] = ['identity', 'gzip', 'zstd']

/** Each coding of a body is another representation and needs another strong ETag (RFC 9110 8.8.3.3). */
export const variantEtag = (etag: string, coding: Coding): string => `${etag.slice(0, -1)}.${coding}"`

/** A client's conditional headers, as node:http has them. */
export interface ConditionalHeaders {
  readonly 'if-none-match'?: string | undefined
  readonly 'if-modified-since'?: string | undefined
}

/**
 * Whether a client's own copy is still good, by RFC 9110 13.2.2: If-None-Match decides alone where it is given, compared
 * weakly and against every coding of the body; If-Modified-Since only without it. For GET and HEAD; other methods have
 * no 304.
 */
export function notModified(entry: Entry, headers: ConditionalHeaders): boolean {
  const etags = headers['if-none-match']
  if (etags !== undefined) return matchesEtag(etags, entry)
  const since = headers['if-modified-since']
  return since !== undefined && isUnmodifiedSince(since, entry)
}

/** `"abc"` and `W/"abc"`: an opaque tag is any visible character but a quote (RFC 9110 8.8.3). */
const ENTITY_TAG = /(?:W\/)?("[\x21\x23-\x7e\x80-\xff]*")/g

function matchesEtag(list: string, entry: Entry): boolean {
  if (list.trim() === '*') return true
  const own = [entry.etag, ...CODINGS.map((coding) => variantEtag(entry.etag, coding))]
  for (const [, opaque] of list.matchAll(ENTITY_TAG)) if (own.includes(opaque!)) return true
  return false
}

function isUnmodifiedSince(since: string, entry: Entry): boolean {
  const sinceAt = parseHttpDate(since)
  if (sinceAt === undefined) return false
  return lastModifiedAt(entry) <= sinceAt
}

/** Whole seconds, as the header has them. */
function lastModifiedAt(entry: Entry): number {
  const at = entry.headers.indexOf('last-modified')
  const stated = at % 2 === 0 ? parseHttpDate(entry.headers[at + 1]!) : undefined
  return stated ?? Math.floor(entry.storedAt / 1_000) * 1_000
}

/** The three forms that a recipient must know (RFC 9110 5.6.7); the last one says no zone and means GMT. */
const DATE_FORMS = [
  /^\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT$/,
  /^\w{6,9}, \d{2}-\w{3}-\d{2} \d{2}:\d{2}:\d{2} GMT$/,
  /^\w{3} \w{3} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/,
]

export function parseHttpDate(text: string): number | undefined {
  if (!DATE_FORMS.some((form) => form.test(text))) return undefined
  const at = Date.parse(text.endsWith('GMT') ? text : `${text} GMT`)
  return Number.isNaN(at) ? undefined : at
}
