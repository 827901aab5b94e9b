import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type ClaimRule, type Claims, claimAt, parseClaims, principalOf, scopeDigestOf, tenantOf } from './claims.ts'

const claims = (json: string) => parseClaims(json) as Claims
const of = (value: unknown) => claims(JSON.stringify(value))

describe('paths', () => {
  const nested = of({ a: { b: { c: 1 } }, list: [{ id: 'x' }], 'https://example.com/tenant': 'acme', 'a.b': 'whole' })

  for (const [path, expected] of [
    ['a', { b: { c: 1 } }],
    ['a.b', 'whole'],
    ['a.b.c', 1],
    ['list.0.id', 'x'],
    ['list.1.id', undefined],
    ['list.length', undefined],
    ['https://example.com/tenant', 'acme'],
    ['missing', undefined],
    ['a.b.c.d', undefined],
    ['a..b', undefined],
    ['', undefined],
    ['constructor', undefined],
    ['__proto__', undefined],
    ['a.__proto__', undefined],
    ['a.toString.name', undefined],
    ['list.map', undefined],
  ] as const) {
    test(`${JSON.stringify(path)} finds ${JSON.stringify(expected)}`, () => {
      assert.deepEqual(claimAt(nested, path), expected)
    })
  }

  test('a claim that is named __proto__ is a claim like any other', () => {
    const odd = claims('{"__proto__":{"tenant":"acme"},"other":1}')
    assert.equal(claimAt(odd, 'tenant'), undefined)
    assert.equal(claimAt(odd, '__proto__.tenant'), 'acme')
  })
})

describe('tenants', () => {
  const map = { '7': 'acme', bad: 'ACME' }
  const cases: [string, ClaimRule, unknown, string | undefined][] = [
    ['a name', { claim: 't' }, 'acme', 'acme'],
    ['a number', { claim: 't' }, 7, '7'],
    ['the longest name', { claim: 't' }, 'a'.repeat(63), 'a'.repeat(63)],
    ['a number by a map', { claim: 't', map }, 7, 'acme'],
    ['a constant', { value: 'acme' }, undefined, 'acme'],
    ['a name too long', { claim: 't' }, 'a'.repeat(64), undefined],
    ['capitals', { claim: 't' }, 'Acme', undefined],
    ['a leading dash', { claim: 't' }, '-acme', undefined],
    ['a line end', { claim: 't' }, 'acme\n', undefined],
    ['an empty name', { claim: 't' }, '', undefined],
    ['a path', { claim: 't' }, '../acme', undefined],
    ['null', { claim: 't' }, null, undefined],
    ['nothing', { claim: 't' }, undefined, undefined],
    ['a list of one', { claim: 't' }, ['acme'], undefined],
    ['an object', { claim: 't' }, { toString: 'acme' }, undefined],
    ['true', { claim: 't' }, true, undefined],
    ['a fraction', { claim: 't' }, 1.5, undefined],
    ['a value beside the map', { claim: 't', map }, 'acme', undefined],
    ['a prototype name beside the map', { claim: 't', map }, 'constructor', undefined],
    ['a map to no name', { claim: 't', map }, 'bad', undefined],
    ['a constant that is no name', { value: 'A' }, undefined, undefined],
  ]
  for (const [name, rule, value, expected] of cases) {
    test(`${name} gives ${expected === undefined ? 'TENANT_UNKNOWN' : 'a tenant'}`, () => {
      const ask = () => tenantOf(of({ t: value }), rule)
      if (expected === undefined) assert.throws(ask, { code: 'TENANT_UNKNOWN' })
      else assert.equal(ask(), expected)
    })
  }

  test('a number of more digits than a double holds is no name, for it could be read as its neighbour', () => {
    assert.throws(() => tenantOf(claims('{"t":9007199254740993}'), { claim: 't' }), { code: 'TENANT_UNKNOWN' })
  })
})

describe('principals', () => {
  const cases: [string, unknown, string | null | undefined][] = [
    ['a name', 'alice@example.com', 'alice@example.com'],
    ['a number', 7, '7'],
    ['a name in another script', '李', '李'],
    ['the longest name', 'a'.repeat(256), 'a'.repeat(256)],
    ['null', null, null],
    ['nothing', undefined, null],
    ['an empty name', '', undefined],
    ['a name too long', 'a'.repeat(257), undefined],
    ['a header injection', 'a\r\nX-Tenant-Id: root', undefined],
    ['a NUL', 'root\0x', undefined],
    ['a C1 control', 'a\u0085b', undefined],
    ['a blank in front', ' root', undefined],
    ['a no-break space at the end', 'root\u00a0', undefined],
    ['half a surrogate pair', 'a\ud800', undefined],
    ['a list', ['alice'], undefined],
    ['an object', { name: 'alice' }, undefined],
    ['false', false, undefined],
    ['a fraction', 0.5, undefined],
    ['a number beyond the safe ones', 2 ** 53, undefined],
  ]
  for (const [name, value, expected] of cases) {
    test(`${name} gives ${expected === undefined ? 'TOKEN_INVALID' : JSON.stringify(expected)}`, () => {
      const ask = () => principalOf(of({ sub: value }), { claim: 'sub' })
      if (expected === undefined) assert.throws(ask, { code: 'TOKEN_INVALID' })
      else assert.equal(ask(), expected)
    })
  }

  test('a principal is translated by its map, and one beside it is refused', () => {
    const rule = { claim: 'sub', map: { '7': 'alice' } }
    assert.equal(principalOf(of({ sub: 7 }), rule), 'alice')
    assert.throws(() => principalOf(of({ sub: 8 }), rule), { code: 'TOKEN_INVALID' })
  })
})

describe('scope', () => {
  const digest = (json: string, names = ['a', 'b']) => scopeDigestOf(claims(json), names)

  test('no scope claims have no digest', () => assert.equal(digest('{"a":1}', []), ''))

  test('the order of members and of the names in the configuration does not matter', () => {
    assert.equal(digest('{"a":{"x":1,"y":2},"b":3}'), digest('{"b":3,"a":{"y":2,"x":1}}', ['b', 'a']))
  })

  test('claims that are not named do not matter', () =>
    assert.equal(digest('{"a":1,"iat":1}'), digest('{"a":1,"iat":2}')))

  test('each of these scopes is one of its own', () => {
    const scopes = [
      '{}',
      '{"a":null}',
      '{"b":null}',
      '{"a":""}',
      '{"a":"null"}',
      '{"a":[]}',
      '{"a":{}}',
      '{"a":[1,2]}',
      '{"a":[2,1]}',
      '{"a":[[1],2]}',
      '{"a":["1,2"]}',
      '{"a":"[1,2]"}',
      '{"a":1}',
      '{"a":"1"}',
      '{"a":true}',
      '{"a":1,"b":2}',
      '{"a":{"__proto__":1}}',
      '{"a":{"text":"9007199254740993"}}',
      '{"a":9007199254740992}',
      '{"a":9007199254740993}',
      '{"a":"9007199254740993"}',
      '{"a":0.1}',
      '{"a":0.1000000000000000000001}',
      '{"a":1e999}',
      '{"a":"\\ud800"}',
      '{"a":"\\ufffd"}',
    ]
    assert.equal(new Set(scopes.map((scope) => digest(scope))).size, scopes.length)
  })

  test('two scopes have one digest only if they are equal', () => {
    const scope = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.jsonValue({ maxDepth: 3 }))
    const parsed = (value: object) => JSON.stringify(value) // -0 and 0 are one number in JSON
    const digested = (value: object) => scopeDigestOf(of(value), ['a', 'b', 'c'])
    fc.assert(
      fc.property(scope, scope, (one, other) => {
        const equal = isDeepEqual(JSON.parse(parsed(one)), JSON.parse(parsed(other)))
        assert.equal(digested(one) === digested(other), equal)
      }),
    )
  })

  test('a claim nested without end is refused rather than followed', () => {
    const deep = `{"a":${'['.repeat(100)}${']'.repeat(100)}}`
    assert.throws(() => digest(deep), { code: 'TOKEN_INVALID' })
  })
})

function isDeepEqual(one: unknown, other: unknown): boolean {
  try {
    assert.deepEqual(one, other)
    return true
  } catch {
    return false
  }
}
