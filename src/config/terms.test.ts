import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { coversPath, isPathPattern, parseBypass, parseTag } from './terms.ts'

describe('a bypass condition', () => {
  for (const [text, expected] of [
    ['body:force=true', { in: 'body', name: 'force', value: 'true' }],
    ['body:a.b.0=x=y', { in: 'body', name: 'a.b.0', value: 'x=y' }],
    ['query:force=1', { in: 'query', name: 'force', value: '1' }],
    ['header:Cache-Control=no-cache', { in: 'header', name: 'cache-control', value: 'no-cache' }],
    ['body:force', undefined],
    ['body:=true', undefined],
    ['body:a..b=true', undefined],
    ['header:a b=1', undefined],
    ['cookie:a=b', undefined],
    ['query:a=', undefined],
  ] as const) {
    test(text, () => assert.deepEqual(parseBypass(text), expected))
  }
})

describe('a tag template', () => {
  for (const [text, expected] of [
    ['all', ['all']],
    ['dataset:{body.datasource.id}', ['dataset:', { in: 'body', name: 'datasource.id' }]],
    ['{query.x}-{header.X-Y}', [{ in: 'query', name: 'x' }, '-', { in: 'header', name: 'x-y' }]],
    ['', undefined],
    ['a b', undefined],
    ['{claim.x}', undefined],
    ['{body}', undefined],
    ['{body.a..b}', undefined],
    ['x}', undefined],
    ['{body.x', undefined],
  ] as const) {
    test(text || '(empty)', () => assert.deepEqual(parseTag(text), expected))
  }
})

describe('a path pattern', () => {
  for (const [text, expected] of [
    ['/', true],
    ['/*', true],
    ['/a/:id/b', true],
    ['/a/*', true],
    ['/a/', true],
    ['a', false],
    ['/a*', false],
    ['/*/a', false],
    ['/:', false],
    ['/a?b', false],
    ['/a b', false],
    ['/a(b)', false],
  ] as const) {
    test(`${text} is ${expected ? '' : 'not '}one`, () => assert.equal(isPathPattern(text), expected))
  }

  for (const [earlier, later, expected] of [
    ['/a', '/a', true],
    ['/a', '/b', false],
    ['/*', '/a/b', true],
    ['/a/*', '/a', false],
    ['/a/*', '/a/b/*', true],
    ['/a/:x', '/a/b', true],
    ['/a/:x', '/a/:y', true],
    ['/a/b', '/a/:x', false],
    ['/a/:x', '/a/b/c', false],
    ['/a/:x', '/a/*', false],
  ] as const) {
    test(`${earlier} ${expected ? 'covers' : 'does not cover'} ${later}`, () => {
      assert.equal(coversPath(earlier, later), expected)
    })
  }
})
