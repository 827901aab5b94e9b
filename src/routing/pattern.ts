import { normalPath } from './path.ts'

/**
 * Path patterns of the config:
 *
 *   /a/b      exactly this path; a trailing slash matters (Superset answers 404 or 308 to the wrong one)
 *   /a/:id    one segment that is not empty; the name is for the reader only
 *   /a/*      everything below: /a/, /a/b, /a/b/c. Not /a itself, which to most upstreams is another resource (or a
 *             redirect); who means both writes two routes.
 *   /*        every path
 */
export type Pattern =
  | { readonly kind: 'exact'; readonly path: string }
  /** `prefix` is what every match starts with, compared first because that is cheap; `whole` null = the prefix is all. */
  | { readonly kind: 'open'; readonly prefix: string; readonly whole: RegExp | null }

const PARAMETER = /^:\w+$/

/** Throws an Error that says what is wrong and what is allowed. */
export function compilePattern(pattern: string): Pattern {
  const normal = normalPattern(pattern)
  const open = normal.endsWith('/*')
  const segments = (open ? normal.slice(0, -1) : normal).split('/')
  for (const segment of segments) checkSegment(segment, pattern)
  const parameterAt = segments.findIndex((segment) => PARAMETER.test(segment))
  if (parameterAt < 0) {
    const path = segments.join('/')
    return open ? { kind: 'open', prefix: path, whole: null } : { kind: 'exact', path }
  }
  const parts = segments.map((segment) => (PARAMETER.test(segment) ? '[^/]+' : escapeRegExp(segment)))
  const whole = new RegExp(`^${parts.join('/')}${open ? '' : '$'}`)
  return { kind: 'open', prefix: `${segments.slice(0, parameterAt).join('/')}/`, whole }
}

/** Requests are matched in normal form, so a pattern is brought into it too; one that has none could never match. */
function normalPattern(pattern: string): string {
  const normal = normalPath(pattern.replace(/[^ -~]+/g, (text) => encodeURIComponent(text.toWellFormed())))
  if (normal !== null) return normal
  throw new Error(`path pattern '${pattern}': must start with '/' and hold no dot segments, '?', '#', spaces or '\\'`)
}

function checkSegment(segment: string, pattern: string): void {
  if (PARAMETER.test(segment)) return
  if (segment.startsWith(':') || segment.includes('*')) {
    throw new Error(`path pattern '${pattern}': ':name' must be a whole segment, and '*' the last one`)
  }
}

const escapeRegExp = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
