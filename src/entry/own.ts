import type { ServerResponse } from 'node:http'
import { Refusal } from '../kernel/errors.ts'
import type { HttpCall } from './http-call.ts'

const PREFIX = '/_sluice/'

export const isOwn = (path: string): boolean => path.startsWith(PREFIX)

/** Those that request/jobs.ts answers. */
export const isAboutJobs = (path: string): boolean => /^\/_sluice\/jobs(\/|$)/.test(path)

export interface Health {
  readonly draining: boolean
}

/** The gateway's own paths on the data port, but for jobs. Health needs no token and says nothing about anybody. */
export function own(call: HttpCall, res: ServerResponse, health: Health): void {
  const name = call.path.slice(PREFIX.length)
  if (name !== 'health/live' && name !== 'health/ready') {
    throw new Refusal('NOT_FOUND', { detail: 'here are /_sluice/health/live, /_sluice/health/ready and /_sluice/jobs' })
  }
  const isReady = name === 'health/live' || !health.draining
  const body = `${JSON.stringify({ status: isReady ? 'ok' : 'draining' })}\n`
  res
    .writeHead(isReady ? 200 : 503, {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'content-length': body.length,
      ...(!isReady && { 'retry-after': '1' }),
    })
    .end(call.method === 'HEAD' ? undefined : body)
}
