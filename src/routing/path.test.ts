import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { looseReading, normalPath, splitTarget } from './path.ts'

describe('normalPath', () => {
  for (const [path, expected] of [
    ['/', '/'],
    ['/api/v1/chart/data', '/api/v1/chart/data'],
    ['/api/v1/chart/7/data/', '/api/v1/chart/7/data/'],
    ['/%61pi/%7Ex/a%2Db%2E%5F', '/api/~x/a-b._'],
    ['/a%2fb%3a%5b', '/a%2Fb%3A%5B'],
    ['/a%2Fb', '/a%2Fb'],
    ['/caf\u00c3\u00a9', '/caf%C3%A9'],
    ['/caf%c3%a9', '/caf%C3%A9'],
    ['//a///b//', '/a/b/'],
    ['/.well-known/x', '/.well-known/x'],
    ['/a/...', '/a/...'],
    ['/a/b.c..d', '/a/b.c..d'],
    ['/a%2Eb', '/a.b'],
    ['/a;v=1/b', '/a;v=1/b'],
    ['/100%25', '/100%25'],
    ['/a%20b', '/a%20b'],
    ["/a(b)!$&'*+,=:@", "/a(b)!$&'*+,=:@"],
  ] as const) {
    test(`${path} becomes ${expected}`, () => assert.equal(normalPath(path), expected))
  }

  for (const path of [
    '',
    'a',
    '*',
    'http://x/a',
    '?',
    '/a?b',
    '/a#b',
    '/a b',
    '/a\\b',
    '/a%5Cb',
    '/a%5cb',
    '/\u0000',
    '/%00',
    '/%0a',
    '/%1F',
    '/%7f',
    '/\u007f',
    '/\u0142',
    '/%',
    '/%4',
    '/%zz',
    '/%2%35',
    '/.',
    '/..',
    '/a/.',
    '/a/..',
    '/a/../b',
    '/./a',
    '/a/./b',
    '/%2e',
    '/a/%2e%2e/b',
    '/a/.%2E/b',
    '/a%2f..%2fb',
    '/a/..%2fb',
    '/a/%252e%252e/b',
    '/a/%25252e%25252e/b',
    '/a%252f..%252fb',
    '/a/..;/b',
    '/a/.;x=1',
    '/a/..%3b/b',
    '/a/..%255cb',
    '/a//../b',
  ]) {
    test(`${JSON.stringify(path)} is refused`, () => assert.equal(normalPath(path), null))
  }

  const piece = fc.constantFrom(
    '/',
    '.',
    '..',
    '%2e',
    '%2E',
    '%2f',
    '%25',
    '%61',
    'a',
    ';',
    '%3b',
    '%5c',
    '\\',
    '\u00e9',
    '%c3',
    ':',
    '*',
    '~',
    '%',
  )
  const paths = fc.array(piece, { maxLength: 12 }).map((pieces) => `/${pieces.join('')}`)

  test('a normal path is its own normal form', () => {
    fc.assert(
      fc.property(paths, (path) => {
        const normal = normalPath(path)
        if (normal !== null) assert.equal(normalPath(normal), normal)
      }),
      { numRuns: 2_000 },
    )
  })

  test('no normal path resolves to another place, however often it is decoded', () => {
    fc.assert(
      fc.property(paths, (path) => {
        let reading = normalPath(path)
        for (let i = 0; reading !== null && i < 6; i++) {
          const resolved = new URL(`http://x${reading.replaceAll('?', '')}`).pathname
          assert.equal(resolved.split('/').length, reading.split(/[/\\]/).length)
          reading = latin1Decoded(reading)
        }
      }),
      { numRuns: 2_000 },
    )
  })

  test('a megabyte of anything is decided in well under a second', () => {
    for (const unit of ['/', '%25', '/.', 'a', '%61', ';', '/a;', '%', '..']) {
      const startedAt = performance.now()
      normalPath(`/${unit.repeat(1_000_000 / unit.length)}`)
      assert.ok(performance.now() - startedAt < 1_000, unit)
    }
  })
})

for (const [target, path, query] of [
  ['/a', '/a', ''],
  ['/a?', '/a', ''],
  ['/a?b=1?c', '/a', 'b=1?c'],
  ['?', '', ''],
] as const) {
  test(`the target ${target} splits at its first question mark`, () =>
    assert.deepEqual(splitTarget(target), { path, query }))
}

for (const [path, expected] of [
  ['/a/b', '/a/b'],
  ['/a%2Fb', '/a/b'],
  ['/a;x=1/b;y', '/a/b'],
  ['/a%3Bx/b', '/a/b'],
  ['/caf%C3%A9', '/caf%C3%A9'],
  ['/a%20b', '/a%20b'],
] as const) {
  test(`a lenient upstream may read ${path} as ${expected}`, () => assert.equal(looseReading(path), expected))
}

const latin1Decoded = (text: string): string =>
  text.replace(/%([2-7][0-9A-F])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
