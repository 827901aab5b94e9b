/** The little languages inside the config's strings: bypass conditions, tag templates, path patterns. */
import { DOTTED_PATH, HEADER_NAME } from './values.ts'

export type Place = 'body' | 'query' | 'header'

/** What a request must carry for the cache not to be read. */
export interface Bypass {
  in: Place
  /** A dotted path for `body`, a lower-case name for `header`. */
  name: string
  value: string
}

/** 'body:force=true' → { in: 'body', name: 'force', value: 'true' }; undefined when it is not a condition. */
export function parseBypass(text: string): Bypass | undefined {
  const found = /^(body|query|header):([^=]+)=(.+)$/s.exec(text)
  if (!found) return undefined
  const place = found[1] as Place
  const named = placeName(place, found[2]!)
  return named === undefined ? undefined : { in: place, name: named, value: found[3]! }
}

/** A tag template taken apart: fixed texts and what is filled in between them. */
export type TagPart = string | { in: Place; name: string }

/** 'dataset:{body.a.b}' → ['dataset:', { in: 'body', name: 'a.b' }]; undefined when a placeholder is not one. */
export function parseTag(text: string): TagPart[] | undefined {
  const parts = text.split(/(\{[^{}]*\})/).filter((part) => part !== '')
  const parsed = parts.map(tagPart)
  return parsed.length > 0 && parsed.every((part) => part !== undefined) ? parsed : undefined
}

function tagPart(part: string): TagPart | undefined {
  const found = /^\{(body|query|header)\.([^{}]+)\}$/.exec(part)
  if (!found) return /[{}\s]/.test(part) ? undefined : part
  const place = found[1] as Place
  const named = placeName(place, found[2]!)
  return named === undefined ? undefined : { in: place, name: named }
}

function placeName(place: Place, text: string): string | undefined {
  if (place === 'header') return HEADER_NAME.test(text) ? text.toLowerCase() : undefined
  if (place === 'query') return /^[^\s&#]+$/.test(text) ? text : undefined
  return DOTTED_PATH.test(text) ? text : undefined
}

/** '/a/b', '/a/:id', '/a/*': whole segments, and a star only as the last of them. */
export function isPathPattern(text: string): boolean {
  if (!text.startsWith('/') || /[\s?#]/.test(text)) return false
  const segments = text.slice(1).split('/')
  return segments.every((segment, at) => isSegment(segment, at === segments.length - 1))
}

function isSegment(segment: string, last: boolean): boolean {
  if (segment === '*') return last
  if (segment.startsWith(':')) return /^:[A-Za-z_]\w*$/.test(segment)
  return !/[:*(){}[\]\\]/.test(segment)
}

/** Does every path that `later` matches match `earlier` too? */
export function coversPath(earlier: string, later: string): boolean {
  const wide = earlier.slice(1).split('/')
  const narrow = later.slice(1).split('/')
  for (const [at, segment] of wide.entries()) {
    const other = narrow[at]
    if (segment === '*') return other !== undefined
    if (other === undefined || other === '*') return false
    if (segment.startsWith(':') ? other === '' : segment !== other) return false
  }
  return wide.length === narrow.length
}
