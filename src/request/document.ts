import { digestParts } from '../kernel/digest.ts'
import { REFUSALS, type RefusalCode } from '../kernel/errors.ts'
import type { Answer, Caller, FlatHeaders } from '../kernel/exchange.ts'
import type { Class, JobRecord, JobStatus } from '../queue/scheduler.ts'

/** A job as its owner sees it (CONTRACT 3). Instants as ISO 8601 in UTC. */
export interface JobDocument {
  id: string
  status: JobStatus
  route: string
  class: Class
  tenant: string
  submittedAt: string
  startedAt: string | null
  finishedAt: string | null
  attempt: number
  position: number | null
  estimatedWaitMs: number | null
  deadlineAt: string
  error: JobError | null
  links: { self: string; result: string }
}

export interface JobError {
  code: string
  title: string
  /** What the upstream said, where it said something. */
  status?: number
  detail?: string
}

/** Field by field: nothing gets in that a record has besides, such as whose it is. */
export function jobDocument(record: JobRecord): JobDocument {
  const { id, status, route, class: cls, tenant, attempt } = record
  const isQueued = status === 'queued'
  const self = jobPath(id)
  return {
    id,
    status,
    route,
    class: cls,
    tenant,
    submittedAt: iso(record.submittedAt),
    startedAt: record.startedAt === null ? null : iso(record.startedAt),
    finishedAt: record.finishedAt === null ? null : iso(record.finishedAt),
    attempt,
    position: isQueued ? record.position : null,
    estimatedWaitMs: isQueued ? record.waitMs : null,
    deadlineAt: iso(record.deadlineAt),
    error: jobError(record),
    links: { self, result: `${self}/result` },
  }
}

const iso = (at: number): string => new Date(at).toISOString()

export const jobPath = (id: string): string => `/_sluice/jobs/${id}`

export const hasEnded = ({ status }: Pick<JobRecord, 'status'>): boolean => status !== 'queued' && status !== 'running'

/**
 * Whose a job is inside its tenant. A name means somebody only to the issuer that gave it. Of callers that name nobody
 * (guests) those who see the same rows are one, and somebody else than one whose name is ''.
 */
export const principalDigest = ({ principal, issuer, scopeDigest }: Omit<Caller, 'tenant' | 'expiresAt'>): string =>
  principal === null ? digestParts([issuer, scopeDigest, 'none']) : digestParts([issuer, principal, 'some'])

/** Why a job has no good end; null while it may have one. */
export function jobError({ status, error }: Pick<JobRecord, 'status' | 'error'>): JobError | null {
  if (status === 'expired') return errorOf({ code: 'QUEUE_TIMEOUT' })
  return error === null ? null : errorOf(parsed(error))
}

export const isRefusalCode = (code: string): code is RefusalCode => Object.hasOwn(REFUSALS, code)

function errorOf({ code, status, detail }: Record<string, unknown>): JobError {
  const known = typeof code === 'string' ? code : 'INTERNAL'
  return {
    code: known,
    title: isRefusalCode(known) ? REFUSALS[known].title : 'The job failed.',
    ...(typeof status === 'number' && { status }),
    ...(typeof detail === 'string' && { detail }),
  }
}

/** Another version of the gateway may have written it: what is no object says nothing. */
function parsed(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text))
  } catch {
    return {}
  }
}

/** A document as a whole answer, which nobody keeps: it is one caller's, and of this moment. */
export function documentAnswer(status: number, document: object, headers: FlatHeaders = []): Answer {
  const body = Buffer.from(`${JSON.stringify(document)}\n`)
  return {
    status,
    headers: ['content-type', 'application/json', 'cache-control', 'no-store', ...headers],
    coding: 'identity',
    body,
  }
}
