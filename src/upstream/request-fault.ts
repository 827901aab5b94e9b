/**
 * Requests whose meaning depends on who reads them. node's strict parser refuses most shapes of request smuggling
 * (request-fault.test.ts says which); this covers what it lets through and repeats what must hold even if it changes.
 */

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** Visible ASCII, space, tab and bytes above 0x7f; so no line end, no NUL and no leftover of a folded line. */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
/** A host with an optional port; no userinfo, path, list or space. */
const HOST = /^(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/
/** A fragment never travels, and a space would make another request line. */
const TARGET = /^[\x21\x22\x24-\x7e\x80-\xff]+$/

/** `Connection` may take away fields of one hop, not those on which framing, routing or rights rest. */
const NOT_TO_NOMINATE = new Set(['authorization', 'content-length', 'content-type', 'cookie', 'host', 'cache-control'])

/** What is wrong with a request, in words for its sender; null when nothing is. */
export function requestFault(rawHeaders: readonly string[], method: string, target: string): string | null {
  if (method === 'CONNECT') return 'CONNECT is not offered.'
  if (method === 'TRACE') return 'TRACE is not offered: it would show headers that the gateway adds.'
  const seen = gather(rawHeaders)
  return seen.fault ?? framingFault(seen) ?? targetFault(seen, method, target)
}

/** The path and query of a request target, which in absolute form names scheme and authority too. */
export function originForm(target: string): string {
  const found = /^https?:\/\/[^/?]*(.*)$/i.exec(target)
  if (!found) return target
  return found[1]!.startsWith('/') ? found[1]! : `/${found[1]}`
}

/** What the checks need of the headers, gathered in one pass: this runs on every request, hits too. */
interface Gathered {
  host: string | undefined
  length: string | undefined
  coding: string | undefined
  fault: string | null
}

function gather(rawHeaders: readonly string[]): Gathered {
  const seen: Gathered = { host: undefined, length: undefined, coding: undefined, fault: null }
  for (let i = 0; i < rawHeaders.length && seen.fault === null; i += 2) {
    const name = rawHeaders[i]!
    const value = rawHeaders[i + 1]!
    // Names repeat from request to request, values do not.
    if (!names.has(name) && !isName(name)) seen.fault = 'A header name holds a character that names may not hold.'
    else if (!FIELD_VALUE.test(value)) seen.fault = `The header ${name} holds a control character.`
    else take(seen, name, value)
  }
  return seen
}

/** Names that were found good; they are the clients' choice, so no more are remembered than this. */
const names = new Set<string>()
const MAX_NAMES = 1_000

function isName(name: string): boolean {
  if (!TOKEN.test(name)) return false
  if (names.size < MAX_NAMES) names.add(name)
  return true
}

function take(seen: Gathered, name: string, value: string): void {
  const field = SINGLE[name.length]
  if (field === undefined || name.toLowerCase() !== field.name) return
  if (field.key === null) seen.fault = nominationFault(value)
  else if (seen[field.key] !== undefined) seen.fault = `${name} is given more than once.`
  else seen[field.key] = value
}

/** The fields looked at, by the length of their names, which are all different. */
const SINGLE: Record<number, { name: string; key: 'host' | 'length' | 'coding' | null }> = {
  4: { name: 'host', key: 'host' },
  10: { name: 'connection', key: null },
  14: { name: 'content-length', key: 'length' },
  17: { name: 'transfer-encoding', key: 'coding' },
}

function nominationFault(connection: string): string | null {
  const options = connection.toLowerCase().split(',')
  const wrong = options.map((option) => option.trim()).find((option) => NOT_TO_NOMINATE.has(option))
  return wrong === undefined ? null : `Connection names ${wrong}, which is not of this connection.`
}

function framingFault({ length, coding }: Gathered): string | null {
  if (length !== undefined && coding !== undefined) return 'Content-Length and Transfer-Encoding exclude each other.'
  if (length !== undefined && !/^\d{1,15}$/.test(length)) return 'Content-Length is not a plain number.'
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') return 'Transfer-Encoding is not chunked.'
  return null
}

function targetFault({ host }: Gathered, method: string, target: string): string | null {
  if (host !== undefined && host !== '' && !HOST.test(host)) return 'Host is not a host and port.'
  if (!TARGET.test(target)) return 'The request target holds a character that targets may not hold.'
  if (target.startsWith('/') || (target === '*' && method === 'OPTIONS')) return null
  const absolute = /^https?:\/\/([^/?]*)/i.exec(target)
  if (!absolute) return 'The request target is neither a path nor an http URL.'
  if (absolute[1]!.toLowerCase() !== host?.toLowerCase()) return 'The request target and Host name different hosts.'
  return null
}
