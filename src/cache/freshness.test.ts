import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ageOf, drawTtlMs, endOf, freshness } from './freshness.ts'

const entry = { storedAt: 1_000, ttlMs: 100, staleMs: 50, errorMs: 200 }

describe('freshness', () => {
  for (const [nowAt, expected] of [
    [900, 'fresh'],
    [1_000, 'fresh'],
    [1_099, 'fresh'],
    [1_100, 'stale'],
    [1_149, 'stale'],
    [1_150, 'ifError'],
    [1_299, 'ifError'],
    [1_300, 'expired'],
  ] as const) {
    test(`stored at 1000 for 100, stale 50 more and for errors 200 more, is ${expected} at ${nowAt}`, () => {
      assert.equal(freshness(entry, nowAt), expected)
    })
  }

  test('a window for errors that is shorter than the stale one adds nothing', () => {
    const short = { ...entry, errorMs: 20 }
    assert.equal(freshness(short, 1_149), 'stale')
    assert.equal(freshness(short, 1_150), 'expired')
    assert.equal(endOf(short), 1_150)
  })

  test('an entry of a gateway whose clock is ahead has age 0', () => {
    assert.equal(ageOf(entry, 500), 0)
  })

  test('an entry never becomes fresher as time passes, and is expired exactly from its end', () => {
    const order = ['fresh', 'stale', 'ifError', 'expired']
    const span = fc.nat(1_000)
    fc.assert(
      fc.property(fc.nat(5_000), fc.nat(5_000), span, span, span, (nowAt, laterMs, ttlMs, staleMs, errorMs) => {
        const times = { storedAt: 0, ttlMs, staleMs, errorMs }
        const worth = (at: number) => order.indexOf(freshness(times, at))
        assert.ok(worth(nowAt) <= worth(nowAt + laterMs))
        assert.equal(freshness(times, nowAt) === 'expired', nowAt >= endOf(times))
      }),
    )
  })

  test('a drawn ttl stays within its jitter', () => {
    const share = fc.double({ min: 0, max: 1, noNaN: true })
    const draw = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    fc.assert(
      fc.property(fc.nat(86_400_000), share, draw, (ttlMs, jitter, random) => {
        const drawn = drawTtlMs(ttlMs, jitter, random)
        assert.ok(drawn >= Math.floor(ttlMs * (1 - jitter)) && drawn <= Math.ceil(ttlMs * (1 + jitter)))
      }),
    )
    assert.equal(drawTtlMs(300_000, 0.1, 0), 270_000)
    assert.equal(drawTtlMs(300_000, 0.1, 0.5), 300_000)
    assert.equal(drawTtlMs(300_000, 0, 0.9), 300_000)
  })
})
