import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ManualClock } from '../kernel/clock.manual.ts'
import type { Clock } from '../kernel/clock.ts'
import { type Ledger, MAX_GONE } from './ledger.ts'

const ROOMY = 1_000_000

/** What every ledger owes its callers. Each adapter's test file runs this and nothing weaker. */
export function ledgerContract(name: string, open: (clock: Clock) => Ledger): void {
  const setup = () => {
    const clock = new ManualClock()
    const ledger = open(clock)
    const tenant = randomUUID() // each case has its own account
    const add = (id: string, bytes = 10, maxBytes = ROOMY, ttlMs = 60_000) =>
      ledger.add(tenant, id, bytes, clock.now() + ttlMs, maxBytes)
    return { clock, ledger, tenant, add, total: () => ledger.total(tenant) }
  }

  describe(`${name} ledger`, () => {
    test('adds up what a tenant has', async () => {
      const { add, total } = setup()
      assert.equal(await total(), 0)
      await add('a', 10)
      await add('b', 5)
      assert.equal(await total(), 15)
    })

    test('names the oldest that must go, and no more than must', async () => {
      const { add, total } = setup()
      for (const id of ['c', 'a', 'b']) assert.deepEqual(await add(id, 10, 30), [])
      assert.deepEqual(await add('d', 15, 30), ['c', 'a'])
      assert.equal(await total(), 25)
    })

    test('a result of its tenant’s whole bound takes the place of all others', async () => {
      const { add, total } = setup()
      for (const id of ['a', 'b']) await add(id, 10, 30)
      assert.deepEqual(await add('c', 30, 30), ['a', 'b'])
      assert.equal(await total(), 30)
    })

    test('one that alone is too large goes itself, and no other for it', async () => {
      const { add, total } = setup()
      await add('a', 10, 30)
      assert.deepEqual(await add('b', 31, 30), ['b'])
      assert.equal(await total(), 10)
    })

    test('a second result of a job takes the place of its first, and is the newest', async () => {
      const { add, total } = setup()
      for (const id of ['a', 'b']) await add(id, 10)
      await add('a', 7)
      assert.equal(await total(), 17)
      assert.deepEqual(await add('c', 10, 17), ['b'])
    })

    test('what is removed counts no longer, and removing it again is nothing', async () => {
      const { add, total, ledger, tenant } = setup()
      for (const id of ['a', 'b']) await add(id, 10)
      await ledger.remove(tenant, 'a')
      await ledger.remove(tenant, 'a')
      await ledger.remove(tenant, 'never')
      assert.equal(await total(), 10)
      assert.deepEqual(await add('c', 10, 10), ['b'])
    })

    test('what expired counts no longer, from its instant on, and nobody goes for it', async () => {
      const { add, total, clock } = setup()
      await add('brief', 10, 30, 1_000)
      await add('long', 10, 30)
      await clock.advance(999)
      assert.equal(await total(), 20)
      await clock.advance(1)
      assert.equal(await total(), 10)
      assert.deepEqual(await add('next', 20, 30), [])
    })

    test('what has expired when it comes is not entered', async () => {
      const { add, total } = setup()
      await add('a')
      assert.deepEqual(await add('late', 10, ROOMY, 0), [])
      assert.equal(await total(), 10)
    })

    test('names a hundred at once, and the next call goes on', async () => {
      const { add, total } = setup()
      for (let n = 0; n < 150; n++) await add(`${n}`, 10)
      const gone = await add('large', 500, 500)
      assert.deepEqual(
        gone,
        Array.from({ length: MAX_GONE }, (_, n) => `${n}`),
      )
      assert.equal(await total(), 1_000)
      assert.equal((await add('large', 500, 500)).length, 50)
      assert.equal(await total(), 500)
    })

    test('tenants are apart', async () => {
      const { add, total, ledger } = setup()
      await add('a')
      await ledger.remove('other', 'a')
      assert.equal(await total(), 10)
      assert.equal(await ledger.total('other'), 0)
    })

    test('a result without bytes, or with half ones, is a mistake of the caller', async () => {
      const { add } = setup()
      for (const bytes of [0, -1, 0.5, Number.NaN]) await assert.rejects(add('a', bytes), RangeError)
    })

    test('does step for step what a plain list does', async () => {
      // In hours, because Redis' own expiry goes by the real clock and must not come before the held one's.
      const hours = (max: number) => fc.nat(max).map((count) => count * 3_600_000)
      const step = fc.record({
        ms: hours(4),
        id: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
        bytes: fc.nat(40), // 0: remove it
        ttlMs: hours(15),
        maxBytes: fc.constantFrom(20, 60, 100),
      })
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
          const { clock, ledger, tenant, total } = setup()
          const model = new PlainLedger()
          for (const { ms, id, bytes, ttlMs, maxBytes } of steps) {
            await clock.advance(ms)
            const expiresAt = clock.now() + ttlMs
            if (bytes === 0) await ledger.remove(tenant, id)
            const gone = bytes === 0 ? [] : await ledger.add(tenant, id, bytes, expiresAt, maxBytes)
            assert.deepEqual(gone, model.step({ id, bytes, expiresAt, maxBytes }, clock.now()))
            assert.equal(await total(), model.total())
          }
        }),
        { numRuns: 60 },
      )
    })
  })
}

interface Step {
  id: string
  bytes: number
  expiresAt: number
  maxBytes: number
}

class PlainLedger {
  #results: Step[] = []

  step(step: Step, nowAt: number): string[] {
    this.#results = this.#results.filter(({ id, expiresAt }) => id !== step.id && expiresAt > nowAt)
    if (step.bytes > step.maxBytes) return [step.id]
    if (step.bytes === 0) return []
    if (step.expiresAt > nowAt) this.#results.push(step)
    const gone: string[] = []
    while (this.total() > step.maxBytes) gone.push(this.#results.shift()!.id)
    return gone
  }

  total = (): number => this.#results.reduce((sum, { bytes }) => sum + bytes, 0)
}
