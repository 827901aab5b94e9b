import { Refusal } from '../kernel/errors.ts'
import type { JobQuery, JobStatus } from '../queue/scheduler.ts'
import { type JobDocument, jobDocument } from './document.ts'
import type { House } from './house.ts'

const STATUSES: readonly JobStatus[] = ['queued', 'running', 'succeeded', 'failed', 'cancelled', 'expired']
const LIMIT = 20
const MAX_LIMIT = 100

/** `job_` and a ULID. Nothing else is asked for in the store. */
export const isJobId = (id: string): boolean => /^job_[0-9A-HJKMNP-TV-Z]{26}$/.test(id)

export interface JobPage {
  jobs: JobDocument[]
  /** Where the next page begins; null: this is the last one. */
  nextCursor: string | null
}

/** The caller's own jobs, the newest first. */
export async function listPage(
  { tenant, principal }: Pick<JobQuery, 'tenant' | 'principal'>,
  query: string,
  { scheduler }: Pick<House, 'scheduler'>,
): Promise<JobPage> {
  const { status, limit, after } = listQuery(query)
  const found = await scheduler.list({ tenant, principal, status, limit: limit + 1, after }) // one more tells of a next page
  const page = found.slice(0, limit)
  const nextCursor = found.length > limit ? Buffer.from(page.at(-1)!.id).toString('base64url') : null
  return { jobs: page.map(jobDocument), nextCursor }
}

/** What is empty is as if it were not there. */
function listQuery(query: string): Pick<JobQuery, 'status' | 'limit' | 'after'> {
  const asked = new URLSearchParams(query)
  const [status, limit, cursor] = ['status', 'limit', 'cursor'].map((name) => asked.get(name) || null)
  return {
    status: status ? statusOf(status) : null,
    limit: limit ? limitOf(limit) : LIMIT,
    after: cursor ? idOf(cursor) : null,
  }
}

function statusOf(text: string): JobStatus {
  return STATUSES.find((status) => status === text) ?? refuse(`status is one of ${STATUSES.join(', ')}`)
}

function limitOf(text: string): number {
  const limit = /^\d{1,3}$/.test(text) ? Number(text) : 0
  return limit >= 1 && limit <= MAX_LIMIT ? limit : refuse(`limit is a whole number from 1 to ${MAX_LIMIT}`)
}

function idOf(cursor: string): string {
  const id = Buffer.from(cursor, 'base64url').toString('latin1')
  return isJobId(id) ? id : refuse('cursor is the nextCursor of the page before, as it was given')
}

function refuse(detail: string): never {
  throw new Refusal('REQUEST_INVALID', { detail })
}
