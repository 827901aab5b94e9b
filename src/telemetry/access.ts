import type { Outcome } from './metrics.ts'

/** What the access log says of one request: never a token, a body, a query string or a secret. */
export interface AccessLine {
  id: string
  tenant: string | null
  principal: string | null
  route: string
  method: string
  path: string
  status: number
  outcome: Outcome
  /** The error code of a refusal. */
  code: string | undefined
  /** The cache key; its first 16 characters are logged: enough to find its siblings, too little to ask for it. */
  key: string | undefined
  ms: number
  authMs: number
  cacheMs: number
  queueMs: number
  upstreamMs: number
}

export type AccessLog = (line: AccessLine) => void

/**
 * Writes lines in the form of the other log lines, level `info`. By hand and not through pino, because a hit can bear
 * half a microsecond of it and not three: what cannot hold a quote is not escaped, and what is zero is left out.
 */
export function accessLog(write: (line: string) => void, isEnabled: () => boolean): AccessLog {
  const head = `,"pid":${process.pid},"log":"access","id":"`
  return (line) => {
    if (isEnabled()) write(format(head, line))
  }
}

function format(head: string, line: AccessLine): string {
  const { code, key, authMs, cacheMs, queueMs, upstreamMs } = line
  return (
    `{"level":30,"time":${Date.now()}${head}${line.id}","tenant":${quoted(line.tenant)},"principal":${text(line.principal)}` +
    `,"route":"${line.route}","method":"${line.method}","path":${text(line.path)},"status":${line.status}` +
    `,"outcome":"${line.outcome}"${code === undefined ? '' : `,"code":"${code}"`}` +
    `${key === undefined ? '' : `,"key":"${key.slice(0, 16)}"`},"ms":${Math.round(line.ms * 100) / 100}` +
    `${authMs > 0 ? `,"authMs":${authMs}` : ''}${cacheMs > 0 ? `,"cacheMs":${cacheMs}` : ''}` +
    `${queueMs > 0 ? `,"queueMs":${queueMs}` : ''}` +
    `${upstreamMs > 0 ? `,"upstreamMs":${upstreamMs}` : ''}}\n`
  )
}

/** For what its own rules keep free of quotes: ids, tenants, routes, methods, keys. */
const quoted = (word: string | null): string => (word === null ? 'null' : `"${word}"`)

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what JSON wants escaped
const NEEDS_ESCAPE = /["\\\x00-\x1f\x7f-\uffff]/

const text = (value: string | null): string =>
  value === null ? 'null' : NEEDS_ESCAPE.test(value) ? JSON.stringify(value) : `"${value}"`
