import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { age, table } from './table.ts'

describe('a table', () => {
  test('has aligned columns, numbers to the right, and a dash where nothing is', () => {
    const text = table(
      ['TENANT', 'RUNNING', 'OLDEST'],
      [
        ['acme', 4, '3m12s'],
        ['globex-international', 12, null],
      ],
    )
    assert.equal(
      text,
      [
        'TENANT                RUNNING  OLDEST',
        'acme                        4  3m12s',
        'globex-international       12  -',
      ].join('\n'),
    )
  })

  test('without rows is its headings', () => {
    assert.equal(table(['ID', 'STATUS'], []), 'ID  STATUS')
  })
})

for (const [ms, expected] of [
  [0, '0s'],
  [999, '0s'],
  [1_000, '1s'],
  [59_999, '59s'],
  [60_000, '1m'],
  [192_000, '3m12s'],
  [3_600_000, '1h'],
  [7_500_000, '2h5m'],
  [86_400_000, '1d'],
  [277_200_000, '3d5h'],
] as const) {
  test(`${ms} ms is told as ${expected}`, () => assert.equal(age(ms), expected))
}
