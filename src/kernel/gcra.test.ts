import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FULL, type Rate, rateOf, take } from './gcra.ts'

const START_AT = 1_700_000_000_000

const rates = fc.record({ emissionUs: fc.integer({ min: 1, max: 3_000_000 }), burst: fc.integer({ min: 1, max: 50 }) })
/** Steps of a clock that sometimes runs backwards, each with a cost. */
const steps = fc.array(
  fc.record({ ms: fc.integer({ min: -2_000, max: 5_000 }), cost: fc.integer({ min: 1, max: 50 }) }),
  {
    maxLength: 60,
  },
)

interface Admitted {
  nowAt: number
  cost: number
}

function run(rate: Rate, walk: { ms: number; cost: number }[]): Admitted[] {
  let [tat, nowAt] = [FULL, START_AT]
  const admitted: Admitted[] = []
  for (const { ms, cost } of walk) {
    nowAt += ms
    const taking = take(tat, nowAt, rate, Math.min(cost, rate.burst))
    tat = taking.newTat
    if (taking.allowed) admitted.push({ nowAt, cost: Math.min(cost, rate.burst) })
  }
  return admitted
}

test('never admits more than burst + rate · time in any window, also when the clock runs backwards', () => {
  fc.assert(
    fc.property(rates, steps, (rate, walk) => {
      const admitted = run(rate, walk)
      for (const [from, first] of admitted.entries()) {
        let tokens = 0
        for (const { nowAt, cost } of admitted.slice(from)) {
          tokens += cost
          const bound = rate.burst + ((nowAt - first.nowAt) * 1_000) / rate.emissionUs
          assert.ok(tokens <= bound + 1e-6, `${tokens} of ${bound}`)
        }
      }
    }),
  )
})

test('a refusal charges nothing', () => {
  fc.assert(
    fc.property(rates, fc.nat(100_000_000), fc.integer({ min: 1, max: 50 }), (rate, debtUs, cost) => {
      const tat = START_AT * 1_000 + debtUs
      const taking = take(tat, START_AT, rate, Math.min(cost, rate.burst))
      assert.equal(taking.newTat === tat, !taking.allowed)
    }),
  )
})

test('a refused cost is granted exactly when it was said to be, and not a millisecond before', () => {
  fc.assert(
    fc.property(rates, fc.nat(100_000_000), fc.integer({ min: 1, max: 50 }), (rate, debtUs, wanted) => {
      const cost = Math.min(wanted, rate.burst)
      const tat = START_AT * 1_000 + debtUs
      const { allowed, retryAfterMs } = take(tat, START_AT, rate, cost)
      if (allowed) return assert.equal(retryAfterMs, 0)
      assert.equal(take(tat, START_AT + retryAfterMs, rate, cost).allowed, true)
      assert.equal(take(tat, START_AT + retryAfterMs - 1, rate, cost).allowed, false)
    }),
  )
})

test('what is said to remain can be taken, and not one more', () => {
  fc.assert(
    fc.property(rates, fc.nat(100_000_000), (rate, debtUs) => {
      const tat = START_AT * 1_000 + debtUs
      const { newTat, remaining } = take(tat, START_AT, rate, 1)
      if (remaining > 0) assert.equal(take(newTat, START_AT, rate, remaining).allowed, true)
      if (remaining < rate.burst) assert.equal(take(newTat, START_AT, rate, remaining + 1).allowed, false)
    }),
  )
})

test('at resetMs the bucket is full', () => {
  fc.assert(
    fc.property(rates, fc.nat(100_000_000), (rate, debtUs) => {
      const { newTat, resetMs } = take(START_AT * 1_000 + debtUs, START_AT, rate, 1)
      assert.equal(take(newTat, START_AT + resetMs, rate, rate.burst).allowed, true)
    }),
  )
})

for (const [capacity, perSecond, emissionUs] of [
  [100, 10, 100_000],
  [1, 1 / 60, 60_000_000],
  [5, 3, 333_334],
  [100, 9_999, 101],
] as const) {
  test(`${perSecond} tokens per second are one in ${emissionUs} µs, never rounded in the tenant's favour`, () => {
    assert.deepEqual(rateOf({ capacity, perSecond }), { emissionUs, burst: capacity })
  })
}

for (const cost of [0, -1, 4, Number.NaN]) {
  test(`a cost of ${cost} from a bucket of 3 is a mistake of the caller`, () => {
    assert.throws(() => take(FULL, START_AT, { emissionUs: 1_000, burst: 3 }, cost), RangeError)
  })
}
