import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { pages } from '../docs/generate.ts'
import { REFUSALS } from '../src/kernel/errors.ts'

describe('the generated pages', () => {
  for (const [path, text] of Object.entries(pages())) {
    test(`${path} is what the code says (else: npm run docs)`, () => {
      assert.equal(readFileSync(new URL(`../${path}`, import.meta.url), 'utf8'), text)
    })
  }

  test('errors.md has a section for every code that a problem can link to', () => {
    const page = pages()['docs/errors.md']!
    for (const code of Object.keys(REFUSALS)) assert.match(page, new RegExp(`^## ${code}$`, 'm'))
  })
})
