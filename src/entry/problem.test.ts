import assert from 'node:assert/strict'
import { test } from 'node:test'
import { REFUSALS, Refusal, type RefusalCode } from '../kernel/errors.ts'
import { problemOf } from './problem.ts'

const headersOf = (flat: readonly string[]) =>
  Object.fromEntries(flat.flatMap((name, n) => (n % 2 === 0 ? [[name, flat[n + 1]]] : [])))

for (const code of Object.keys(REFUSALS) as RefusalCode[]) {
  test(`${code} is a whole problem document that nobody stores`, () => {
    const { status, headers, body } = problemOf(new Refusal(code, { detail: 'why' }), 'id-1')
    const { type, ...document } = JSON.parse(body.toString())
    assert.deepEqual(document, { title: REFUSALS[code].title, status, code, detail: 'why', requestId: 'id-1' })
    assert.ok(type.endsWith(`#${code.toLowerCase()}`))
    const given = headersOf(headers)
    assert.equal(given['content-type'], 'application/problem+json')
    assert.equal(given['cache-control'], 'no-store')
    assert.equal('www-authenticate' in given, status === 401)
    assert.equal('retry-after' in given, status === 429 || status === 503)
  })
}

for (const [retryAfterMs, expected] of [
  [1, '1'],
  [1_000, '1'],
  [1_001, '2'],
  [undefined, '1'],
] as const) {
  test(`to wait ${retryAfterMs} ms is said as ${expected} s`, () => {
    const { headers } = problemOf(new Refusal('RATE_LIMITED', { retryAfterMs }), '')
    assert.equal(headersOf(headers)['retry-after'], expected)
  })
}
