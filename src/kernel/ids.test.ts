import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ulid } from './ids.ts'

test('ids sort in the order they were made, also within a millisecond and when the clock goes back', () => {
  const instants = [1_000, 1_000, 1_000, 2_000, 1_500, 1_500, 1_764_000_000_000, 1_764_000_000_000]
  const ids = instants.map((at) => ulid(at, () => 0.5))
  assert.deepEqual(ids.toSorted(), ids)
  assert.equal(new Set(ids).size, ids.length)
})

test('an id is 26 characters of Crockford base32', () => {
  assert.match(ulid(Date.now(), Math.random), /^[0-9A-HJKMNP-TV-Z]{26}$/)
})
