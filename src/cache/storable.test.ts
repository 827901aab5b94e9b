import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { nominatedFields, parseCacheControl } from './cache-control.ts'
import { storable, storedHeaders } from './storable.ts'

const verdict = (
  headers: string[],
  more: { status?: number; keyedHeaders?: string[]; stripped?: readonly string[] } = {},
) => {
  const { stripped = [], ...rest } = more
  const answer = storable({
    status: 200,
    headers,
    keyedHeaders: [],
    isStripped: (name) => stripped.includes(name),
    ...rest,
  })
  return answer.store ? 'stored' : answer.reason
}

describe('storable', () => {
  for (const [value, expected] of [
    ['no-store', 'no-store'],
    ['No-Store', 'no-store'],
    ['max-age=60, no-store', 'no-store'],
    ['private="set-cookie", no-store', 'no-store'],
    ['no-store=1', 'no-store'],
    ['no-store="x"', 'no-store'],
    ['max-age=0 no-store', 'no-store'],
    [',,,no-store', 'no-store'],
    ['=x, no-store', 'no-store'],
    ['private="unterminated, no-store', 'no-store'],
    ['private="a\\"", no-store', 'no-store'],
    ['private="no-store"', 'stored'],
    ['no-cache="x, no-store, y"', 'stored'],
    ['x-no-store', 'stored'],
    ['private', 'stored'],
    ['no-cache', 'stored'],
    ['private=""', 'stored'],
    ['max-age=0, must-revalidate', 'stored'],
    ['max-age=abc', 'stored'],
    ['"""', 'stored'],
    ['', 'stored'],
  ] as const) {
    test(`Cache-Control: ${value || '(empty)'} → ${expected}`, () => {
      assert.equal(verdict(['cache-control', value]), expected)
    })
  }

  test('no-store on any line of several counts', () => {
    assert.equal(verdict(['Cache-Control', 'public', 'x', 'y', 'CACHE-CONTROL', 'no-store']), 'no-store')
  })

  for (const [vary, more, expected] of [
    ['Accept-Encoding', {}, 'stored'],
    ['Accept-Language', {}, 'vary'],
    ['Accept-Language', { keyedHeaders: ['accept-language'] }, 'stored'],
    ['Accept-Encoding, ACCEPT', { keyedHeaders: ['Accept'] }, 'stored'],
    ['Accept-Encoding, Cookie', { keyedHeaders: ['accept'] }, 'vary'],
    ['Cookie', { stripped: ['cookie'] }, 'stored'],
    ['Cookie, Origin', { stripped: ['cookie'] }, 'vary'],
    ['*', { stripped: ['*'] }, 'vary'],
    ['Accept-Encoding, *', { keyedHeaders: ['accept'], stripped: ['*'] }, 'vary'],
    ['', {}, 'stored'],
    [' , ', {}, 'stored'],
  ] as const) {
    test(`Vary: ${vary || '(empty)'} with ${Object.entries(more).join(' ') || 'nothing keyed'} → ${expected}`, () => {
      assert.equal(
        verdict(['vary', vary], { ...more, keyedHeaders: [...('keyedHeaders' in more ? more.keyedHeaders : [])] }),
        expected,
      )
    })
  }

  test('only whole 200 answers', () => {
    for (const status of [201, 204, 301, 304, 400, 404, 500]) assert.equal(verdict([], { status }), 'status')
    assert.equal(verdict([], { status: 206 }), 'partial')
    assert.equal(verdict(['Content-Range', 'bytes 0-1/2']), 'partial')
  })

  test('a cookie does not forbid it: the cookie is what is left out', () => {
    assert.equal(verdict(['set-cookie', 'session=1']), 'stored')
  })

  test('no header, however broken, makes it throw', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string(), { maxLength: 8 }),
        fc.string({ unit: fc.constantFrom(...'a-="\\, \tno-store*') }),
        (list, value) => {
          const headers = [...list, 'cache-control', value, 'vary', value, 'connection', value]
          storable({ status: 200, headers, keyedHeaders: list })
          storedHeaders(headers)
        },
      ),
    )
  })

  test('no-store outside of quotes is always seen', () => {
    const other = fc.constantFrom(
      'private',
      'private="a, b"',
      'max-age=60',
      'no-cache="set-cookie"',
      'foo',
      '',
      'x="\\""',
    )
    fc.assert(
      fc.property(fc.array(other), fc.array(other), (before, after) => {
        assert.equal(verdict(['cache-control', [...before, 'no-store', ...after].join(',')]), 'no-store')
      }),
    )
  })
})

describe('Cache-Control', () => {
  test('names and arguments, quoted or not', () => {
    assert.deepEqual(parseCacheControl('Max-Age=60, private="a, \\"b", immutable, foo=, bar = 7'), [
      { name: 'max-age', argument: '60' },
      { name: 'private', argument: 'a, "b' },
      { name: 'immutable', argument: null },
      { name: 'foo', argument: '' },
      { name: 'bar', argument: '7' },
    ])
  })

  test('qualified forms name fields', () => {
    assert.deepEqual(nominatedFields(parseCacheControl('private="X-User, x-plan", no-cache=x-one, max-age="x-not"')), [
      'x-user',
      'x-plan',
      'x-one',
    ])
  })
})

describe('stored headers', () => {
  test('keep order, repeats and end-to-end names in lower case', () => {
    const raw = [
      'Content-Type',
      'text/csv',
      'Link',
      '<a>',
      'Date',
      'Sun',
      'Link',
      '<b>',
      'Vary',
      'Accept',
      'Last-Modified',
      'x',
    ]
    assert.deepEqual(storedHeaders(raw), [
      'content-type',
      'text/csv',
      'link',
      '<a>',
      'date',
      'Sun',
      'link',
      '<b>',
      'vary',
      'Accept',
      'last-modified',
      'x',
    ])
  })

  for (const name of [
    ...[
      'Connection',
      'Keep-Alive',
      'Proxy-Connection',
      'TE',
      'Trailer',
      'Transfer-Encoding',
      'Upgrade',
      'Proxy-Authenticate',
    ],
    ...[
      'Set-Cookie',
      'Set-Cookie2',
      'Age',
      'Cache-Status',
      'Content-Length',
      'Content-Encoding',
      'ETag',
      'Retry-After',
    ],
    ...[
      'RateLimit',
      'RateLimit-Policy',
      'RateLimit-Remaining',
      'X-RateLimit-Limit',
      'X-Rate-Limit-Reset',
      'Rate-Limit',
    ],
    ...['Server-Timing', 'X-Request-Id', 'Content-Digest', 'Accept-Ranges'],
  ]) {
    test(`${name} is not kept`, () => assert.deepEqual(storedHeaders([name, 'x', 'x-rate', 'y']), ['x-rate', 'y']))
  }

  test('what Connection nominates goes, and what private or no-cache name', () => {
    const raw = [
      'Connection',
      'close, X-Hop',
      'x-hop',
      '1',
      'x-user',
      '2',
      'x-kept',
      '3',
      'cache-control',
      'private="X-User"',
    ]
    assert.deepEqual(storedHeaders(raw), ['x-kept', '3', 'cache-control', 'private="X-User"'])
  })
})
