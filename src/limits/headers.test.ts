import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rateHeaders, retryAfterSeconds } from './headers.ts'
import type { Grant } from './limiter.ts'

const limit = { capacity: 100, perSecond: 600 / 60 }
const grant: Grant = { taken: true, remaining: 99, retryAfterMs: 0, resetMs: 100, degraded: false }

const headersOf = (changes: Partial<Grant> = {}, of = limit, name: 'requests' | 'ingress' = 'requests') => {
  const flat = rateHeaders(name, of, { ...grant, ...changes })
  return { [flat[0]!]: flat[1]!, [flat[2]!]: flat[3]! }
}

test('a grant says the policy, what is left, and when all of it is back', () => {
  assert.deepEqual(headersOf(), {
    'ratelimit-policy': '"requests";q=600;w=60',
    ratelimit: '"requests";r=99;t=1',
  })
})

test('a refusal says when it is worth asking again, the same second as Retry-After', () => {
  const refused = { taken: false, remaining: 0, retryAfterMs: 1_001, resetMs: 9_000 }
  assert.equal(headersOf(refused).ratelimit, '"requests";r=0;t=2')
  assert.equal(retryAfterSeconds(1_001), 2)
})

for (const [ms, seconds] of [
  [0, 1],
  [1, 1],
  [1_000, 1],
  [1_001, 2],
  [59_999, 60],
] as const) {
  test(`a wait of ${ms} ms is told as ${seconds} s: rounded up, never 0`, () => {
    assert.equal(retryAfterSeconds(ms), seconds)
  })
}

test('a limit that this process enforces alone says so', () => {
  assert.equal(headersOf({ degraded: true }).ratelimit, '"requests";r=99;t=1;sluice-degraded')
})

test('the ingress limit is told per second', () => {
  const of = { capacity: 50, perSecond: 50 }
  assert.equal(headersOf({}, of, 'ingress')['ratelimit-policy'], '"ingress";q=50;w=1')
})

for (const perMinute of [1, 7, 61, 599, 1_001]) {
  test(`${perMinute} a minute is told as ${perMinute}, whatever the division lost`, () => {
    const of = { capacity: 1, perSecond: perMinute / 60 }
    assert.equal(headersOf({}, of)['ratelimit-policy'], `"requests";q=${perMinute};w=60`)
  })
}
