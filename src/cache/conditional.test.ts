import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type ConditionalHeaders, notModified, parseHttpDate, variantEtag } from './conditional.ts'
import { sampleEntry } from './entry.sample.ts'

const storedAt = Date.parse('2026-11-22T10:00:00.700Z')
const entry = sampleEntry({ etag: '"abc"', storedAt, headers: [] })
const modified = sampleEntry({ etag: '"abc"', storedAt, headers: ['last-modified', 'Sat, 21 Nov 2026 08:00:00 GMT'] })

describe('conditional requests', () => {
  for (const [list, expected] of [
    ['"abc"', true],
    ['W/"abc"', true],
    ['*', true],
    [' * ', true],
    ['"x", W/"y", "abc"', true],
    ['"x","abc"', true],
    ['"abc.zstd"', true],
    ['W/"abc.identity"', true],
    ['"abc.br"', false],
    ['"ab"', false],
    ['"abcd"', false],
    ['abc', false],
    ['"abc', false],
    ['"x*"', false],
    ['', false],
    ['"ABC"', false],
    ['w/"abc"', true],
  ] as const) {
    test(`If-None-Match ${list || '(empty)'} ${expected ? 'matches' : 'does not match'} "abc"`, () => {
      assert.equal(notModified(entry, { 'if-none-match': list }), expected)
    })
  }

  for (const [what, since, expected] of [
    [entry, 'Sun, 22 Nov 2026 10:00:00 GMT', true],
    [entry, 'Sun, 22 Nov 2026 09:59:59 GMT', false],
    [entry, 'Sunday, 22-Nov-26 10:00:00 GMT', true],
    [entry, 'Sun Nov 22 10:00:00 2026', true],
    [entry, '2026-11-22', false],
    [entry, 'yesterday', false],
    [entry, 'Sun, 99 Nov 2026 10:00:00 GMT', false],
    [modified, 'Sat, 21 Nov 2026 08:00:00 GMT', true],
    [modified, 'Sat, 21 Nov 2026 07:59:59 GMT', false],
  ] as const) {
    const by = what === modified ? 'Last-Modified' : 'the instant of its fill'
    test(`If-Modified-Since ${since} is ${expected ? '' : 'not '}answered 304 by ${by}`, () => {
      assert.equal(notModified(what, { 'if-modified-since': since }), expected)
    })
  }

  test('If-None-Match alone decides where both are given', () => {
    const headers: ConditionalHeaders = {
      'if-none-match': '"other"',
      'if-modified-since': 'Sun, 22 Nov 2026 10:00:00 GMT',
    }
    assert.equal(notModified(entry, headers), false)
  })

  test('without conditions nothing is conditional', () => assert.equal(notModified(entry, {}), false))

  test('every coding has an ETag of its own', () => {
    assert.equal(variantEtag('"abc"', 'gzip'), '"abc.gzip"')
  })

  test('asctime has no zone and means GMT', () => {
    assert.equal(parseHttpDate('Sun Nov  6 08:49:37 1994'), Date.UTC(1994, 10, 6, 8, 49, 37))
  })
})
