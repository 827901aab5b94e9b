import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { editDistance, nearest } from './nearest.ts'

describe('the nearest word', () => {
  for (const [word, expected] of [
    ['prot', 'port'],
    ['HOST', 'host'],
    ['hots', 'host'],
    ['bodylimit', 'bodyLimit'],
    ['bodyLimits', 'bodyLimit'],
    ['zzz', undefined],
    ['', undefined],
  ] as const) {
    test(`to '${word}' is ${expected}`, () => assert.equal(nearest(word, ['host', 'port', 'bodyLimit']), expected))
  }

  test('is itself at no distance, and distance has no direction', () => {
    const word = fc.string({ maxLength: 20 })
    fc.assert(
      fc.property(word, word, (a, b) => {
        assert.equal(editDistance(a, b), editDistance(b, a))
        assert.equal(editDistance(a, b) === 0, a === b)
      }),
    )
  })
})
