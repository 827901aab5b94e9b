import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Loose, setup } from './question.fixture.ts'

describe('bypass', () => {
  for (const [rule, expected, loose] of [
    ['body:force=true', 'force', { body: '{"force":true}' }],
    ['body:force=true', 'force', { body: '{"force":"true"}' }],
    ['body:force=true', null, { body: '{"force":false}' }],
    ['body:form.force=true', 'force', { body: '{"form":{"force":true}}' }],
    ['body:queries.*.force=true', 'force', { body: '{"queries":[{},{"force":true}]}' }],
    ['body:force=true', null, { method: 'GET', body: '' }],
    ['query:force=true', 'force', { query: 'a=1&force=true' }],
    ['query:force=true', null, { query: 'force=1' }],
    ['header:cache-control=no-cache', 'cache-control', { headers: { 'cache-control': 'max-age=0, No-Cache' } }],
    ['header:Cache-Control=no-cache', null, { headers: { 'cache-control': 'no-cache-x' } }],
    ['header:cache-control=max-age=0', 'cache-control', { headers: { 'cache-control': 'max-age=0' } }],
    ['header:cache-control=no-cache', null, {}],
  ] as [string, string | null, Loose][]) {
    test(`${rule} with ${JSON.stringify(loose)} gives ${expected}`, () => {
      const { ask } = setup({ bypass: [rule] })
      assert.equal(ask(loose).bypass, expected)
      assert.equal(ask(loose).bypass, expected)
    })
  }

  test('a field may be out of the key and still ask for a fresh answer', () => {
    const { ask } = setup({ ignoreBody: ['force'], bypass: ['body:force=true'] })
    const [forced, plain] = [ask({ body: '{"force":true,"a":1}' }), ask({ body: '{"a":1}' })]
    assert.deepEqual([forced.bypass, plain.bypass], ['force', null])
    assert.equal(forced.key, plain.key)
  })

  test('the first rule that is fulfilled gives the detail', () => {
    const { ask } = setup({ bypass: ['query:a=1', 'body:b=1'] })
    assert.equal(ask({ query: 'a=1', body: '{"b":1}' }).bypass, 'a')
  })

  for (const rule of ['force', 'cookie:a=b', 'query:=x', 'body:a..b=1']) {
    test(`the rule '${rule}' is a fault`, () => assert.throws(() => setup({ bypass: [rule] }), /bypass|body path/))
  }
  test('a body rule on a route that reads no body is a fault', () => {
    assert.throws(() => setup({ body: 'none', bypass: ['body:force=true'] }), /body: json/)
  })
})
