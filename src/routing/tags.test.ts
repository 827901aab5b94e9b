import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setup } from './question.fixture.ts'
import type { KeyPolicy } from './question.ts'

describe('tags', () => {
  const BODY =
    '{"datasource":{"id":12,"name":"a b{c}"},"queries":[{"t":"x"},{"t":"y"},{"t":"x"}],"n":null,"e":"","o":{},"big":9007199254740993}'
  for (const [template, expected, query = '', headers = {}] of [
    ['all', ['all']],
    ['dataset:{body.datasource.id}', ['dataset:12']],
    ['big:{body.big}', ['big:9007199254740993']],
    ['n:{body.datasource.name}', ['n:a_b_c_']],
    ['t:{body.queries.*.t}', ['t:x', 't:y']],
    ['t:{body.queries.1.t}', ['t:y']],
    ['{body.datasource.id}/{body.queries.*.t}', ['12/x', '12/y']],
    ['m:{body.missing}', []],
    ['m:{body.n}', []],
    ['m:{body.e}', []],
    ['m:{body.o}', []],
    ['q:{query.x}', ['q:1', 'q:2'], 'x=1&x=2'],
    ['q:{query.x}', []],
    ['h:{header.X-Db}', ['h:prod'], '', { 'x-db': 'prod' }],
    ['h:{header.X-Db}', []],
    ['{header.x-db}:{body.datasource.id}', ['prod:12'], '', { 'x-db': 'prod' }],
  ] as [string, string[], string?, Record<string, string>?][]) {
    test(`${template} gives ${expected.join(' and ') || 'none'}`, () => {
      const { ask } = setup({ tags: [template], varyHeaders: ['x-db'] })
      assert.deepEqual(ask({ body: BODY, query, headers }).tags, expected)
      assert.deepEqual(ask({ body: BODY, query, headers }).tags, expected)
    })
  }

  test('values are bounded, and so is their number', () => {
    const { ask } = setup({ tags: ['{body.long}', 'i:{body.many.*}'] })
    const { tags } = ask({
      body: JSON.stringify({ long: 'x'.repeat(500), many: Array.from({ length: 40 }, (_, i) => i) }),
    })
    assert.equal(tags.length, 16)
    assert.equal(tags[0], 'x'.repeat(128))
  })

  for (const [template, policy] of [
    ['{body.}', {}],
    ['{cookie.x}', {}],
    ['a b', {}],
    ['a{b', {}],
    ['{body.a}', { ignoreBody: ['a'] }],
    ['{body.a.b}', { ignoreBody: ['*'] }],
    ['{body.a}', { body: 'raw' }],
    ['{query.x}', { ignoreQuery: ['x'] }],
    ['{header.x}', {}],
  ] as [string, Partial<KeyPolicy>][]) {
    test(`the template '${template}' with ${JSON.stringify(policy)} is a fault`, () => {
      assert.throws(() => setup({ ...policy, tags: [template] }), /^Error: (tag|body path)/)
    })
  }
})
