import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { JobRecord } from '../queue/scheduler.ts'
import type { House } from '../request/house.ts'
import { jobOperations, type OperatorDocument } from './jobs.ts'

const idOf = (n: number) => `job_${`${n}`.padStart(26, '0')}`

function recordOf(n: number): JobRecord {
  const times = { submittedAt: n, startedAt: null, finishedAt: null, deadlineAt: n }
  return {
    ...{ id: idOf(n), tenant: n % 2 === 0 ? 'even' : 'odd', principal: 'p', upstream: 'main', route: 'r' },
    ...{ class: 'batch', status: 'queued', ...times, attempt: 0, lost: 0, error: null, position: 1 },
    ...{ waitMs: 1, revision: 1 },
  }
}

describe('the list of jobs', () => {
  /** A scheduler whose pages are short, in no order, and hold some jobs twice. */
  function setup(count: number, perPage: number) {
    const shuffled = Array.from({ length: count }, (_, at) => (at * 7_919) % count)
    let pages = 0
    const jobs = async (cursor: string) => {
      pages++
      const from = Number(cursor)
      const some = [...shuffled.slice(from, from + perPage), shuffled[from]!]
      return { cursor: from + perPage < count ? `${from + perPage}` : '0', jobs: some.map(recordOf) }
    }
    const list = jobOperations({ scheduler: { jobs } } as unknown as House)['GET /admin/v1/jobs']!
    const ask = (query: Record<string, string>) =>
      list({ params: {}, query: new URLSearchParams(query), body: undefined }) as Promise<{
        jobs: OperatorDocument[]
        nextCursor: string | null
      }>
    const all = async (query: Record<string, string>) => {
      const ids: string[] = []
      for (let cursor: Record<string, string> = {}; ; ) {
        const page = await ask({ ...query, ...cursor })
        ids.push(...page.jobs.map(({ id }) => id))
        if (page.nextCursor === null) return ids
        cursor = { cursor: page.nextCursor }
      }
    }
    return { ask, all, pages: () => pages }
  }
  const newestFirst = (count: number) => Array.from({ length: count }, (_, n) => idOf(count - 1 - n))

  test('is told newest first, each once, over as many pages as are asked for', async () => {
    const { all } = setup(500, 50)
    for (const limit of ['7', '100', '499', '500', '1000']) assert.deepEqual(await all({ limit }), newestFirst(500))
  })

  test('is told of one tenant alone', async () => {
    const { all } = setup(500, 50)
    const even = newestFirst(500).filter((id) => Number(id.at(-1)) % 2 === 0)
    assert.deepEqual(await all({ limit: '30', tenant: 'even' }), even)
  })

  test('reads a bounded part of what there is for one answer, and the cursor leads through all of it', async () => {
    const { ask, all, pages } = setup(3_000, 10)
    const first = await ask({ tenant: 'nobody' })
    assert.deepEqual([first.jobs, typeof first.nextCursor, pages()], [[], 'string', 100])
    assert.deepEqual((await all({ limit: '1000' })).sort(), newestFirst(3_000).sort())
  })
})
