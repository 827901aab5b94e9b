import { decodeAscii, normalPercent } from './percent.ts'

/**
 * Paths, read strictly. A gateway and its upstream that disagree about a path make every rule about paths worthless:
 * `deny /admin/*` is passed by `/%61dmin/`, `/x/..%2fadmin/` or `/admin;v=1/` if only the upstream undoes the disguise.
 * So there is one normal form, used to match, to key and (on cached routes) to forward; what has no sure reading is refused.
 */

/** Segments of harmless characters that do not start with a dot: already normal. Nearly every real request. */
const PLAIN = /^(?:\/[\w~!$&'()*+,:=@-][\w.~!$&'()*+,:=@-]*)*\/?$/
/** Neither printable ASCII nor a raw byte above it; or a backslash, which browsers and some servers take for a slash. */
const FORBIDDEN = /[^!-~\u0080-\u00ff]|[\\#?]/
/** The same, encoded: control characters and the backslash. */
const FORBIDDEN_ENCODED = /%(?:[01][0-9A-F]|7F|5C)/
/** `.` and `..`, also with a path parameter behind them, which Java servers cut off first. */
const DOT_SEGMENT = /[/\\]\.{1,2}(?:;[^/\\]*)?(?:[/\\]|$)/

/** How many layers of encoding are looked through for a dot segment. No honest path has as many. */
const MAX_LAYERS = 4

/**
 * RFC 3986 normal form for matching, keying and (on cached routes) forwarding: unreserved characters decoded, hex in
 * upper case, slashes in a row made one. Encoded reserved characters stay: `%2F` is no separator.
 * @returns null for what must be refused: dot segments in any encoding, NUL and control characters, spaces, backslashes,
 *   fragments, a '%' without two hex digits, no leading slash
 */
export function normalPath(path: string): string | null {
  if (path !== '' && PLAIN.test(path)) return path
  if (path[0] !== '/' || FORBIDDEN.test(path)) return null
  const normal = normalPercent(path)
  if (normal === null || FORBIDDEN_ENCODED.test(normal) || hidesDotSegment(normal)) return null
  return oneSlash(normal)
}

/** Splits a request target at its first '?'. The query comes back without it. */
export function splitTarget(target: string): { path: string; query: string } {
  const mark = target.indexOf('?')
  return mark < 0 ? { path: target, query: '' } : { path: target.slice(0, mark), query: target.slice(mark + 1) }
}

/**
 * How a lenient upstream may read a normal path: encoded slashes are slashes (WSGI decodes before it routes), path
 * parameters are gone (servlets). The same string when there is only one reading.
 */
export function looseReading(path: string): string {
  if (!path.includes('%') && !path.includes(';')) return path
  return oneSlash(decodeAscii(path).replace(/;[^/]*/g, ''))
}

function hidesDotSegment(path: string): boolean {
  let reading = path
  for (let layer = 0; layer < MAX_LAYERS; layer++) {
    if (DOT_SEGMENT.test(reading)) return true
    const next = decodeAscii(reading)
    if (next === reading) return false
    reading = next
  }
  return true
}

const oneSlash = (path: string): string => path.replace(/\/{2,}/g, '/')
