import type { FlatHeaders } from '../kernel/exchange.ts'

/** Fields that speak of one connection only (RFC 9110 section 7.6.1, and what older software sends besides). */
const HOP_BY_HOP = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Fields that may not arrive late: framing, routing and credentials have been decided when a trailer comes. */
const NEVER_A_TRAILER = new Set([
  'authorization',
  'cache-control',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'forwarded',
  'host',
  'set-cookie',
])

/** What `Connection` names beside the standing list, in lower case; null where it names nothing. */
export function nominated(rawHeaders: readonly string[]): Set<string> | null {
  let names: Set<string> | null = null
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (name.length !== 10 || name.toLowerCase() !== 'connection') continue
    for (const token of rawHeaders[i + 1]!.toLowerCase().split(',')) {
      const option = token.trim()
      if (option === '' || option === 'keep-alive' || option === 'close') continue
      names ??= new Set()
      names.add(option)
    }
  }
  return names
}

export const isHopByHop = (lowerName: string, connectionNames: Set<string> | null): boolean =>
  HOP_BY_HOP.has(lowerName) || connectionNames?.has(lowerName) === true

/** The fields that concern whoever stands at the other end; names, order and duplicates as they came. */
export function endToEnd(rawHeaders: readonly string[]): FlatHeaders {
  const names = nominated(rawHeaders)
  const kept: FlatHeaders = []
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (!isHopByHop(rawHeaders[i]!.toLowerCase(), names)) kept.push(rawHeaders[i]!, rawHeaders[i + 1]!)
  }
  return kept
}

/** Trailers that may be passed on, given as pairs, as node's `addTrailers` takes them. */
export function passableTrailers(
  rawTrailers: readonly string[],
  isForbidden: (lowerName: string) => boolean = () => false,
): [string, string][] {
  const kept: [string, string][] = []
  for (let i = 0; i < rawTrailers.length; i += 2) {
    const lower = rawTrailers[i]!.toLowerCase()
    if (HOP_BY_HOP.has(lower) || NEVER_A_TRAILER.has(lower) || isForbidden(lower)) continue
    kept.push([rawTrailers[i]!, rawTrailers[i + 1]!])
  }
  return kept
}
