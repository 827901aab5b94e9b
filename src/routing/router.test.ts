import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Refusal } from '../kernel/errors.ts'
import { compilePattern } from './pattern.ts'
import { Router } from './router.ts'

type Listed = readonly [method: string | readonly string[] | undefined, path: string]

const find = (routes: readonly Listed[], method: string, path: string): string | undefined =>
  new Router(routes.map(([method, path], at) => ({ name: `${at}`, match: { method, path } }))).find(method, path)?.name

function matchesAlone(text: string, path: string): boolean {
  const pattern = compilePattern(text)
  if (pattern.kind === 'exact') return pattern.path === path
  return path.startsWith(pattern.prefix) && (pattern.whole?.test(path) ?? true)
}

describe('patterns', () => {
  for (const [pattern, path, matches] of [
    ['/a', '/a', true],
    ['/a', '/a/', false],
    ['/a/', '/a/', true],
    ['/a/', '/a', false],
    ['/a/:id', '/a/7', true],
    ['/a/:id', '/a/', false],
    ['/a/:id', '/a/7/', false],
    ['/a/:id', '/a/7/b', false],
    ['/a/:id', '/a/x%2Fy', true],
    ['/a/:id/', '/a/7/', true],
    ['/a/:id/b/:c', '/a/7/b/8', true],
    ['/:x', '/a', true],
    ['/:x', '/', false],
    ['/a/*', '/a/', true],
    ['/a/*', '/a/b/c', true],
    ['/a/*', '/a', false],
    ['/a/*', '/ab/c', false],
    ['/a/:id/*', '/a/7/x/y', true],
    ['/a/:id/*', '/a/7/', true],
    ['/a/:id/*', '/a/7', false],
    ['/*', '/', true],
    ['/*', '/a/b', true],
    ['/a.b/:x', '/aXb/c', false],
    ['/a(b)/:x', '/a(b)/c', true],
    ['/café', '/caf%C3%A9', true],
    ['/%61//b', '/a/b', true],
  ] as const) {
    test(`${pattern} ${matches ? 'matches' : 'does not match'} ${path}`, () => {
      assert.equal(matchesAlone(pattern, path), matches)
    })
  }

  for (const pattern of ['', 'a', '/a/*/b', '/a*', '/a/:', '/a/:x-y', '/a/:x.json', '/../a', '/a?b', '/a b']) {
    test(`the pattern '${pattern}' is a fault that names itself`, () => {
      assert.throws(
        () => compilePattern(pattern),
        (error: Error) => error.message.includes(`'${pattern}'`),
      )
    })
  }
})

describe('Router', () => {
  for (const [sentence, routes, method, path, expected] of [
    [
      'the first of two that match wins',
      [
        ['GET', '/a/*'],
        ['GET', '/a/b'],
      ],
      'GET',
      '/a/b',
      '0',
    ],
    [
      'an exact path that comes first wins',
      [
        ['GET', '/a/b'],
        ['GET', '/a/*'],
      ],
      'GET',
      '/a/b',
      '0',
    ],
    [
      'the more general one wins when it stands first',
      [
        [undefined, '/*'],
        ['GET', '/a/:x'],
      ],
      'GET',
      '/a/b',
      '0',
    ],
    [
      'a route of another method is passed over',
      [
        ['POST', '/a'],
        ['GET', '/a'],
      ],
      'GET',
      '/a',
      '1',
    ],
    [
      'an exact path of another method does not hide a pattern',
      [
        ['POST', '/a/b'],
        ['GET', '/a/*'],
      ],
      'GET',
      '/a/b',
      '1',
    ],
    [
      'a pattern of another method does not hide an exact path',
      [
        ['POST', '/a/*'],
        ['GET', '/a/b'],
      ],
      'GET',
      '/a/b',
      '1',
    ],
    ['HEAD finds a route for GET', [['GET', '/a']], 'HEAD', '/a', '0'],
    [
      'HEAD finds a route for HEAD alone',
      [
        ['HEAD', '/a'],
        ['GET', '/a'],
      ],
      'HEAD',
      '/a',
      '0',
    ],
    ['GET does not find a route for HEAD', [['HEAD', '/a']], 'GET', '/a', undefined],
    ['HEAD does not find a route for POST', [['POST', '/a']], 'HEAD', '/a', undefined],
    ['one of several methods is enough', [[['PUT', 'POST'], '/a']], 'POST', '/a', '0'],
    ['methods of the config may be in lower case', [['post', '/a']], 'POST', '/a', '0'],
    ['no method matches all', [[undefined, '/a']], 'PROPFIND', '/a', '0'],
    ['nothing matches, nothing is found', [['GET', '/a']], 'GET', '/b', undefined],
  ] as [string, Listed[], string, string, string | undefined][]) {
    test(sentence, () => assert.equal(find(routes, method, path), expected))
  }

  for (const path of ['/admin%2Fusers', '/admin;x/users', '/%2Fadmin/users', '/admin%3Bx/users']) {
    test(`${path} cannot walk past a rule for /admin/*`, () => {
      const routes: Listed[] = [
        [undefined, '/admin/*'],
        [undefined, '/*'],
      ]
      assert.throws(
        () => find(routes, 'GET', path),
        (error) => error instanceof Refusal && error.code === 'REQUEST_INVALID',
      )
    })
  }

  test('an encoded slash is fine where both readings lead to one route', () => {
    assert.equal(find([[undefined, '/files/*']], 'GET', '/files/a%2Fb;v=2'), '0')
  })

  test('finds what trying every route in order finds', () => {
    const segment = fc.constantFrom('a', 'b', ':x', '')
    const path = fc
      .array(segment, { minLength: 1, maxLength: 3 })
      .map((segments) => `/${segments.join('/')}`.replace(/\/+/g, '/'))
    const pattern = fc.tuple(path, fc.boolean()).map(([path, open]) => (open ? `${path}/*`.replace('//', '/') : path))
    const route = fc.tuple(fc.constantFrom('GET', 'POST', undefined), pattern)
    fc.assert(
      fc.property(
        fc.array(route, { maxLength: 8 }),
        fc.constantFrom('GET', 'HEAD', 'POST'),
        path,
        (routes, method, asked) => {
          const plain = asked.replaceAll(':x', 'c')
          const byHand = routes.findIndex((route) => find([route], method, plain) !== undefined)
          assert.equal(find(routes, method, plain), byHand < 0 ? undefined : `${byHand}`)
        },
      ),
      { numRuns: 500 },
    )
  })
})
