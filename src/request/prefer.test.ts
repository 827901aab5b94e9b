import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MAX_WAIT_MS, preferenceApplied, preferences } from './prefer.ts'

for (const [field, respondAsync, waitMs] of [
  [undefined, false, null],
  ['', false, null],
  ['respond-async', true, null],
  ['Respond-ASYNC', true, null],
  ['respond-async=""', true, null],
  ['respond-async=yes', false, null],
  ['respond-async; foo=bar', true, null],
  ['wait=20', false, 20_000],
  ['WAIT=20', false, 20_000],
  ['wait="20"', false, 20_000],
  ['wait="2\\0"', false, 20_000],
  ['wait = 20 ; strict', false, 20_000],
  ['wait=0', false, 0],
  ['wait=301', false, MAX_WAIT_MS],
  [`wait=${'9'.repeat(400)}`, false, MAX_WAIT_MS],
  ['wait', false, null],
  ['wait=', false, null],
  ['wait=-1', false, null],
  ['wait=1.5', false, null],
  ['wait=1e2', false, null],
  ['wait=ten', false, null],
  ['wait=10 20', false, null],
  ['respond-async, wait=10', true, 10_000],
  [['wait=10', 'respond-async'], true, 10_000],
  ['wait=10, wait=20', false, 10_000],
  ['wait=ten, wait=20', false, null],
  ['return=minimal, handling=lenient, wait=5', false, 5_000],
  ['note="a, wait=9; b", wait=5', false, 5_000],
  ['note="a \\", wait=9", wait=5', false, 5_000],
  ['other; wait=5', false, null],
  [',,, ;=" , wait=5', false, 5_000],
  [`respond-async, ${'x'.repeat(1_024)}`, false, null],
] as const) {
  test(`Prefer: ${JSON.stringify(field)?.slice(0, 60)} is ${respondAsync ? 'async' : 'in place'}, waiting ${waitMs} ms`, () => {
    assert.deepEqual({ ...preferences(field) }, { respondAsync, waitMs })
  })
}

test('whatever a client writes is no error, and no wait beyond the longest', () => {
  const piece = fc.constantFrom('wait', 'respond-async', '=', '"', '\\', ',', ';', ' ', '5', 'x')
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(piece).map((pieces) => pieces.join('')),
      ),
      (field) => {
        const { waitMs } = preferences(field)
        assert.ok(waitMs === null || (waitMs >= 0 && waitMs <= MAX_WAIT_MS))
      },
    ),
  )
})

test('what is said to be applied reads back as what was preferred', () => {
  fc.assert(
    fc.property(fc.boolean(), fc.option(fc.nat(300)), (respondAsync, seconds) => {
      const preferred = { respondAsync, waitMs: seconds === null ? null : seconds * 1_000 }
      assert.deepEqual({ ...preferences(preferenceApplied(preferred)) }, preferred)
    }),
  )
})

test('nothing applied is nothing said', () => {
  assert.equal(preferenceApplied({}), '')
  assert.equal(preferenceApplied({ respondAsync: true, waitMs: 20_000 }), 'respond-async, wait=20')
})
