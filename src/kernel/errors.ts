interface Spec {
  status: number
  title: string
}

/** Every refusal a client can meet. docs/errors.md is generated from this table and compared in CI. */
export const REFUSALS = {
  TOKEN_MISSING: { status: 401, title: 'This route needs a token and the request carries none.' },
  TOKEN_INVALID: { status: 401, title: 'The token was not accepted.' },
  TOKEN_EXPIRED: { status: 401, title: 'The token has expired.' },
  TENANT_UNKNOWN: { status: 403, title: 'The token is valid but names no tenant known here.' },
  TENANT_PAUSED: { status: 403, title: 'This tenant is paused.' },
  ROUTE_DENIED: { status: 403, title: 'This route is closed.' },
  REQUEST_INVALID: { status: 400, title: 'The request is not one the gateway may pass on.' },
  NOT_FOUND: { status: 404, title: 'The gateway has nothing at this path.' },
  BODY_TOO_LARGE: { status: 413, title: 'The request body is larger than server.bodyLimit.' },
  BODY_INVALID: { status: 400, title: 'The request body does not parse as its route demands.' },
  BODY_TIMEOUT: { status: 408, title: 'The request body did not arrive in time.' },
  HEADERS_TOO_LARGE: { status: 431, title: 'The request headers are too large.' },
  RATE_LIMITED: { status: 429, title: 'This tenant is over its request rate.' },
  QUEUE_FULL: { status: 429, title: 'As much waits for this tenant as may wait.' },
  QUEUE_TIMEOUT: { status: 503, title: "It was not this tenant's turn in time." },
  IDEMPOTENCY_MISMATCH: { status: 422, title: 'This Idempotency-Key was used for another request.' },
  JOB_NOT_FOUND: { status: 404, title: 'There is no such job of this caller.' },
  JOB_NOT_FINISHED: { status: 409, title: 'The job has no result, or not yet.' },
  RESULT_EXPIRED: { status: 410, title: 'The result is no longer kept.' },
  RESULT_TOO_LARGE: { status: 502, title: "The result is larger than this tenant's may be." },
  JOB_POISONED: { status: 500, title: 'The job was given up: each worker that ran it was lost.' },
  STORE_UNAVAILABLE: { status: 503, title: 'The store is away and this call cannot be answered without it.' },
  BREAKER_OPEN: { status: 503, title: 'The upstream is resting after failures.' },
  DRAINING: { status: 503, title: 'This gateway is shutting down.' },
  UPSTREAM_UNREACHABLE: { status: 502, title: 'The upstream could not be reached.' },
  UPSTREAM_INVALID: { status: 502, title: 'The upstream did not give a usable answer.' },
  DEADLINE_EXCEEDED: { status: 504, title: 'The answer was not ready in time.' },
  INTERNAL: { status: 500, title: 'The gateway made a mistake; the log has it under this request id.' },
} as const satisfies Record<string, Spec>

export type RefusalCode = keyof typeof REFUSALS

export interface RefusalDetails {
  /** What exactly is wrong and what is allowed. Shown to the client, so never a secret. */
  detail?: string | undefined
  retryAfterMs?: number | undefined
  /** Headers for the refusal's answer, e.g. what is left of a limit. */
  headers?: readonly string[] | undefined
  cause?: unknown
}

/** The client is told no. Becomes a problem document (RFC 9457) in entry/problem.ts, nowhere else. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly code: RefusalCode
  readonly detail: string | undefined
  readonly retryAfterMs: number | undefined
  readonly headers: readonly string[]

  constructor(code: RefusalCode, { detail, retryAfterMs, headers = [], cause }: RefusalDetails = {}) {
    super(detail ?? REFUSALS[code].title, { cause })
    this.code = code
    this.detail = detail
    this.retryAfterMs = retryAfterMs
    this.headers = headers
  }

  get status(): number {
    return REFUSALS[this.code].status
  }
}

/** The shared store did not answer in time, is away, or answered nonsense. Floor 2 decides whether to go on without it. */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable'
  readonly op: string

  constructor(op: string, cause?: unknown) {
    super(`store: ${op} failed`, { cause })
    this.op = op
  }
}
