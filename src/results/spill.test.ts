import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSpillName, spillName } from './spill.ts'

test('two bodies of one attempt have different names', () => {
  assert.notEqual(spillName('job_1', 1), spillName('job_1', 1))
  assert.match(spillName('job_1', 7), /^job_1-7-[\w-]{12}$/)
})

test('a name is one that every spill takes', () => {
  assert.ok(isSpillName(spillName('3f2a9d5e-0000-4000-8000-000000000000', 2 ** 53 - 1)))
})

for (const id of ['../job', 'a b', 'a:b', 'a\n', 'x'.repeat(160)]) {
  test(`${JSON.stringify(id.slice(0, 8))} is no job's id`, () => assert.throws(() => spillName(id, 1), RangeError))
}
