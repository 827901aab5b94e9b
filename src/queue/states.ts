/** The life of a job: every move there is, and what makes it. docs/states.md is drawn from this table. */
import type { JobStatus } from './scheduler.ts'

export interface Move {
  from: JobStatus | 'new'
  to: JobStatus | 'forgotten'
  by: string
}

export const JOB_MOVES: readonly Move[] = [
  { from: 'new', to: 'queued', by: 'a submission that the store has' },
  { from: 'new', to: 'succeeded', by: 'a fresh cache entry answers the submission' },
  { from: 'queued', to: 'running', by: 'a worker claims it: fence and attempt go up, a lease begins' },
  { from: 'queued', to: 'expired', by: 'maxQueueTime is over' },
  { from: 'queued', to: 'cancelled', by: 'DELETE, before it ran' },
  { from: 'running', to: 'succeeded', by: 'the upstream answered below 400' },
  { from: 'running', to: 'failed', by: 'a final failure, or the third lost lease (JOB_POISONED)' },
  { from: 'running', to: 'queued', by: 'a retry after a while, a lost lease, or given back unharmed' },
  { from: 'running', to: 'cancelled', by: 'DELETE: the upstream request is aborted, a late result refused' },
  { from: 'failed', to: 'queued', by: 'retry by an operator, where the payload was kept' },
  { from: 'expired', to: 'queued', by: 'retry by an operator, where the payload was kept' },
  { from: 'succeeded', to: 'forgotten', by: 'resultTtl after its end' },
  { from: 'failed', to: 'forgotten', by: 'resultTtl after its end; poisoned ones after seven days' },
  { from: 'cancelled', to: 'forgotten', by: 'resultTtl after its end' },
  { from: 'expired', to: 'forgotten', by: 'resultTtl after its end' },
]
