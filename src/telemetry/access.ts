import type { Log } from './log.ts'
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
  code?: string | undefined
  /** The first 16 characters of the cache key: enough to find its siblings, too little to ask for it. */
  key?: string | undefined
  ms: number
  authMs?: number | undefined
  cacheMs?: number | undefined
  upstreamMs?: number | undefined
}

export type AccessLog = (line: AccessLine) => void

export function accessLog(log: Log, enabled: () => boolean): AccessLog {
  const child = log.child({ log: 'access' })
  return (line) => {
    if (enabled()) child.info(line)
  }
}
