import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { isEarly } from './early.ts'

const entry = { storedAt: 0, ttlMs: 60_000, computeMs: 400 }

describe('early refresh', () => {
  test('fires earlier the smaller the draw that is left', () => {
    // −ln(1 − 0.9) ≈ 2.303: 921 ms early
    const at = (nowAt: number) => isEarly(entry, { beta: 1, max: 0.2 }, nowAt, () => 0.9)
    assert.equal(at(59_078), false)
    assert.equal(at(59_079), true)
  })

  test('a query that takes longer starts earlier, and so does a larger beta', () => {
    const at = (computeMs: number, beta: number) =>
      isEarly({ ...entry, computeMs }, { beta, max: 1 }, 59_000, () => 0.9)
    assert.deepEqual([at(400, 1), at(500, 1), at(400, 2)], [false, true, true])
  })

  test('what is past its ttl is always due', () => {
    assert.equal(
      isEarly(entry, { beta: 0, max: 0 }, 60_000, () => 0),
      true,
    )
  })

  test('beta 0 and a free query are never early', () => {
    assert.equal(
      isEarly(entry, { beta: 0, max: 1 }, 59_999, () => 0.999_999),
      false,
    )
    assert.equal(
      isEarly({ ...entry, computeMs: 0 }, { beta: 1, max: 1 }, 59_999, () => 0.999_999),
      false,
    )
  })

  test('is never earlier than its cap, whatever is drawn and however long the query takes', () => {
    const share = fc.double({ min: 0, max: 1, noNaN: true })
    const draw = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    fc.assert(
      fc.property(
        fc.nat(1_000_000),
        fc.nat(1_000_000),
        share,
        draw,
        fc.nat(10),
        (ttlMs, computeMs, max, random, beta) => {
          const beforeCapAt = Math.floor(ttlMs - max * ttlMs) - 1
          const times = { storedAt: 0, ttlMs, computeMs }
          assert.equal(
            isEarly(times, { beta, max }, beforeCapAt, () => random),
            false,
          )
        },
      ),
    )
  })

  test('a share of e^-1 of readers fires when one compute time is left', () => {
    let fired = 0
    for (let i = 0; i < 10_000; i++) if (isEarly(entry, { beta: 1, max: 1 }, 59_600, () => i / 10_000)) fired++
    assert.ok(Math.abs(fired / 10_000 - Math.exp(-1)) < 0.001)
  })
})
