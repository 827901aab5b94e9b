import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { Caller } from '../kernel/exchange.ts'
import { type IdentityKind, identityOf } from './tenancy.ts'

/** Few and treacherous texts, so that pairs often agree in some fields and look alike in others. */
const text = fc.oneof(
  fc.constantFrom('a', 'b', '|1:a', '1:a|', 'a|1:b', '-', '|-', 'null', '', 'anonymous'),
  fc.string(),
)
const callers: fc.Arbitrary<Caller> = fc.record({
  tenant: text,
  principal: fc.option(text),
  scopeDigest: text,
  issuer: text.filter((name) => name !== ''),
  expiresAt: fc.option(fc.nat()),
})

const LOOKS_AT: Record<IdentityKind, (keyof Caller)[]> = {
  principal: ['tenant', 'issuer', 'scopeDigest', 'principal'],
  scope: ['tenant', 'issuer', 'scopeDigest'],
  tenant: ['tenant'],
  shared: [],
}
const KINDS = Object.keys(LOOKS_AT) as IdentityKind[]

describe('identity', () => {
  for (const kind of KINDS) {
    test(`${kind} is the same exactly for callers equal in [${LOOKS_AT[kind]}]`, () => {
      fc.assert(
        fc.property(callers, callers, (one, other) => {
          const equal = LOOKS_AT[kind].every((field) => one[field] === other[field])
          assert.equal(identityOf(one, kind) === identityOf(other, kind), equal)
        }),
        { numRuns: 1_000 },
      )
    })
  }

  test('identities of different kinds never meet', () => {
    fc.assert(
      fc.property(callers, callers, (one, other) => {
        const ids = KINDS.map((kind, i) => identityOf(i % 2 ? one : other, kind))
        assert.equal(new Set(ids).size, KINDS.length)
      }),
    )
  })

  test('nobody has an identity that no token can produce, but for shared', () => {
    fc.assert(
      fc.property(callers, (caller) => {
        for (const kind of ['principal', 'scope', 'tenant'] as const) {
          assert.notEqual(identityOf(caller, kind), identityOf(null, kind))
          assert.notEqual(identityOf(caller, kind), identityOf({ ...caller, issuer: '' }, kind))
        }
      }),
    )
    assert.equal(identityOf(null, 'shared'), 'shared')
  })

  test('a token that is renewed keeps its identity', () => {
    const caller = { tenant: 'acme', principal: 'alice', scopeDigest: '', issuer: 'main', expiresAt: 1 }
    assert.equal(identityOf(caller, 'principal'), identityOf({ ...caller, expiresAt: 2 }, 'principal'))
  })
})
