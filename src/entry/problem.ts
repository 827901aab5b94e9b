import { REFUSALS, type Refusal, type RefusalCode } from '../kernel/errors.ts'
import type { FlatHeaders } from '../kernel/exchange.ts'
import { retryAfterSeconds } from '../limits/headers.ts'

/** Where a problem's `type` points: a section of docs/errors.md per code. */
export const ERRORS_PAGE = 'https://github.com/sluice-gateway/sluice/blob/main/docs/errors.md'

export interface Problem {
  status: number
  headers: FlatHeaders
  body: Buffer
}

/** A refusal as the client sees it: application/problem+json (RFC 9457), never stored by anybody. */
export function problemOf(refusal: Refusal, requestId: string): Problem {
  const { code, status, detail } = refusal
  const document = {
    type: `${ERRORS_PAGE}#${code.toLowerCase()}`,
    title: REFUSALS[code].title,
    status,
    code,
    ...(detail !== undefined && { detail }),
    requestId,
  }
  const body = Buffer.from(`${JSON.stringify(document)}\n`)
  const headers = ['content-type', 'application/problem+json', 'cache-control', 'no-store', ...refusal.headers]
  const challenge = challengeOf(code)
  if (challenge) headers.push('www-authenticate', challenge)
  const retryAfter = retryAfterOf(refusal)
  if (retryAfter !== undefined) headers.push('retry-after', `${retryAfter}`)
  return { status, headers, body }
}

/** RFC 6750 section 3: no error code when no token was sent. */
function challengeOf(code: RefusalCode): string | undefined {
  if (code === 'TOKEN_MISSING') return 'Bearer realm="sluice"'
  if (code === 'TOKEN_INVALID') return 'Bearer realm="sluice", error="invalid_token"'
  if (code === 'TOKEN_EXPIRED') {
    return 'Bearer realm="sluice", error="invalid_token", error_description="The token expired"'
  }
  return undefined
}

/** Every 429 and 503 says when to come again (CONTRACT 4). */
function retryAfterOf({ status, retryAfterMs }: Refusal): number | undefined {
  if (retryAfterMs !== undefined) return retryAfterSeconds(retryAfterMs)
  return status === 429 || status === 503 ? 1 : undefined
}
