import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ManualClock } from '../kernel/clock.manual.ts'
import { backoffMs, parseRetryAfterMs, RetryBudget, retryDelayMs } from './retry.ts'

const POLICY = { attempts: 3, baseDelayMs: 200, maxDelayMs: 1_000, budget: 0.1 }

test('the wait is drawn from all of a span that doubles up to its limit', () => {
  const spans = [1, 2, 3, 4, 50].map((n) => backoffMs(POLICY, n, 0.5) * 2)
  assert.deepEqual(spans, [200, 400, 800, 1_000, 1_000])
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2_000 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (n, random) => {
      const waitMs = backoffMs(POLICY, n, random)
      assert.ok(waitMs >= 0 && waitMs < POLICY.maxDelayMs)
    }),
  )
})

describe('another try', () => {
  const facts = { n: 1, random: 0.5, idempotent: false, remainingMs: 10_000 }
  const unsent = { sent: false, retryAfterMs: null }
  const lost = { sent: true, retryAfterMs: null }

  for (const [name, failure, given, expected] of [
    ['is made when nothing was sent', unsent, {}, 100],
    ['is not made when the upstream may have started', lost, {}, null],
    ['is made then if the request may be repeated', lost, { idempotent: true }, 100],
    ['is not made after the last attempt', unsent, { n: 3 }, null],
    ['is not made when its wait would pass the deadline', unsent, { remainingMs: 100 }, null],
    ['waits as long as Retry-After says', { sent: true, retryAfterMs: 900 }, { idempotent: true }, 900],
    ['waits for its own time when that is longer', { sent: true, retryAfterMs: 50 }, { idempotent: true }, 100],
    [
      'is not made when Retry-After is longer than we wait',
      { sent: true, retryAfterMs: 1_001 },
      { idempotent: true },
      null,
    ],
  ] as const) {
    test(name, () => assert.equal(retryDelayMs(POLICY, failure, { ...facts, ...given }), expected))
  }
})

describe('Retry-After', () => {
  const nowAt = Date.parse('2026-11-23T10:00:00Z')
  for (const [value, expected] of [
    ['7', 7_000],
    ['0', 0],
    ['Mon, 23 Nov 2026 10:00:30 GMT', 30_000],
    ['Mon, 23 Nov 2026 09:00:00 GMT', 0],
    ['-1', null],
    ['1.5', null],
    ['soon', null],
    [undefined, null],
  ] as const) {
    test(`of ${value} means ${expected} ms`, () => assert.equal(parseRetryAfterMs(value, nowAt), expected))
  }
})

describe('the retry budget', () => {
  const takeAll = (budget: RetryBudget) => {
    let taken = 0
    while (budget.take()) taken++
    return taken
  }

  test('is a tenth of the requests', () => {
    const budget = new RetryBudget(0.1, new ManualClock())
    for (let i = 0; i < 1_000; i++) budget.request()
    assert.equal(takeAll(budget), 100)
  })

  test('has a small floor for quiet times', () => {
    assert.equal(takeAll(new RetryBudget(0.1, new ManualClock())), 10)
  })

  test('comes back as its window moves on', async () => {
    const clock = new ManualClock()
    const budget = new RetryBudget(0.1, clock)
    takeAll(budget)
    await clock.advance(9_000)
    assert.equal(budget.take(), false)
    await clock.advance(1_000)
    assert.equal(takeAll(budget), 10)
  })
})
