import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { REFUSALS } from '../kernel/errors.ts'
import type { JobRecord } from '../queue/scheduler.ts'
import { documentAnswer, hasEnded, jobDocument, principalDigest } from './document.ts'

const AT = Date.parse('2026-11-22T10:00:00.000Z')

const record = (changes: Partial<JobRecord> = {}): JobRecord => ({
  id: 'job_01JD',
  tenant: 'acme',
  principal: 'whose-it-is',
  upstream: 'where-it-runs',
  route: 'query',
  class: 'batch',
  status: 'queued',
  submittedAt: AT,
  startedAt: null,
  finishedAt: null,
  deadlineAt: AT + 30_000,
  attempt: 0,
  lost: 2,
  error: null,
  position: 3,
  waitMs: 1_200,
  revision: 7,
  ...changes,
})

describe('the document of a job', () => {
  test('is the one of the contract, to the letter', () => {
    assert.equal(
      JSON.stringify(jobDocument(record())),
      '{"id":"job_01JD","status":"queued","route":"query","class":"batch","tenant":"acme",' +
        '"submittedAt":"2026-11-22T10:00:00.000Z","startedAt":null,"finishedAt":null,"attempt":0,"position":3,' +
        '"estimatedWaitMs":1200,"deadlineAt":"2026-11-22T10:00:30.000Z","error":null,' +
        '"links":{"self":"/_sluice/jobs/job_01JD","result":"/_sluice/jobs/job_01JD/result"}}',
    )
  })

  test('has a place in the line only while it stands there, and keeps its deadline', () => {
    const ended = { startedAt: AT + 1_000, finishedAt: AT + 2_000, attempt: 1 }
    const document = jobDocument(record({ status: 'succeeded', ...ended }))
    assert.equal(document.position, null)
    assert.equal(document.estimatedWaitMs, null)
    assert.equal(document.startedAt, '2026-11-22T10:00:01.000Z')
    assert.equal(document.finishedAt, '2026-11-22T10:00:02.000Z')
    assert.equal(document.deadlineAt, '2026-11-22T10:00:30.000Z')
  })

  test('says nothing of whose it is, where it runs, or how its workers fared', () => {
    const text = JSON.stringify(jobDocument(record({ status: 'failed', error: '{"code":"INTERNAL","secret":"s3"}' })))
    for (const hidden of ['whose-it-is', 'where-it-runs', 'lost', 'revision', 's3']) assert.ok(!text.includes(hidden))
  })

  for (const [written, told] of [
    ['{"code":"UPSTREAM_INVALID"}', { code: 'UPSTREAM_INVALID', title: REFUSALS.UPSTREAM_INVALID.title }],
    [
      '{"code":"UPSTREAM_INVALID","status":400,"detail":"no such column"}',
      {
        code: 'UPSTREAM_INVALID',
        title: REFUSALS.UPSTREAM_INVALID.title,
        status: 400,
        detail: 'no such column',
      },
    ],
    ['{"code":"OF_TOMORROW"}', { code: 'OF_TOMORROW', title: 'The job failed.' }],
    ['{"code":"toString"}', { code: 'toString', title: 'The job failed.' }],
    ['{"code":7,"detail":{},"status":"x"}', { code: 'INTERNAL', title: REFUSALS.INTERNAL.title }],
    ['not JSON', { code: 'INTERNAL', title: REFUSALS.INTERNAL.title }],
    ['null', { code: 'INTERNAL', title: REFUSALS.INTERNAL.title }],
    ['"text"', { code: 'INTERNAL', title: REFUSALS.INTERNAL.title }],
  ] as const) {
    test(`tells of the error ${written}`, () => {
      assert.deepEqual(jobDocument(record({ status: 'failed', error: written })).error, told)
    })
  }

  test('of an expired job says that its turn did not come', () => {
    const expected = { code: 'QUEUE_TIMEOUT', title: REFUSALS.QUEUE_TIMEOUT.title }
    for (const error of [null, '{"code":"QUEUE_TIMEOUT"}']) {
      assert.deepEqual(jobDocument(record({ status: 'expired', error })).error, expected)
    }
  })

  test('is an answer that nobody keeps', () => {
    const { status, headers, body } = documentAnswer(202, { a: 1 }, ['location', '/x'])
    assert.equal(status, 202)
    assert.deepEqual(headers, ['content-type', 'application/json', 'cache-control', 'no-store', 'location', '/x'])
    assert.equal(body.toString(), '{"a":1}\n')
  })
})

test('whoever names nobody is somebody else than one whose name is empty, or is the word for it', () => {
  const digest = (principal: string | null, issuer = 'main', scopeDigest = 'rows') =>
    principalDigest({ principal, issuer, scopeDigest })
  const digests = [null, '', 'none', 'some', 'rows', 'ana'].map((principal) => digest(principal))
  assert.equal(new Set(digests).size, 6)
  assert.equal(digest('ana', 'main', 'other rows'), digest('ana'))
  assert.notEqual(digest('ana', 'other'), digest('ana'))
  assert.notEqual(digest(null, 'main', 'other rows'), digest(null))
})

test('a job has ended when it is neither queued nor running', () => {
  const ended = (['queued', 'running', 'succeeded', 'failed', 'cancelled', 'expired'] as const).map((status) =>
    hasEnded({ status }),
  )
  assert.deepEqual(ended, [false, false, true, true, true, true])
})
