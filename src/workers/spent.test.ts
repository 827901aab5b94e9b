import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSpent } from './spent.ts'

const MIB = 1024 ** 2

for (const [what, { ended = 0, ageMs = 60_000, rss = 0, jobs = 0, memory = 0 }, expected] of [
  ['without bounds is never', { ended: 1e9, rss: 1e12 }, false],
  ['that has jobs left is not', { ended: 9, jobs: 10 }, false],
  ['that has run its jobs is', { ended: 10, jobs: 10 }, true],
  ['that has run its jobs fast is as well', { ended: 10, ageMs: 1, jobs: 10 }, true],
  ['that is as large as it may be is not', { rss: 64 * MIB, memory: 64 * MIB }, false],
  ['that is larger is', { rss: 64 * MIB + 1, memory: 64 * MIB }, true],
  ['that is young and large is not', { rss: 1e12, memory: 64 * MIB, ageMs: 59_999 }, false],
] as [string, Partial<Record<'ended' | 'ageMs' | 'rss' | 'jobs' | 'memory', number>>, boolean][]) {
  test(`a process ${what} spent`, () => {
    const state = { ended, ageMs, rssBytes: () => rss }
    assert.equal(isSpent(state, { maxJobsPerProcess: jobs, maxMemory: memory }), expected)
  })
}
