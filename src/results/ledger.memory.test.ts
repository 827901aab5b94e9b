import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../kernel/clock.manual.ts'
import { ledgerContract } from './ledger.contract.ts'
import { MemoryLedger } from './ledger.memory.ts'

ledgerContract('memory', (clock) => new MemoryLedger({ clock }))

test('forgets tenants whose results have all expired', async () => {
  const clock = new ManualClock()
  const ledger = new MemoryLedger({ clock })
  for (let n = 0; n < 1_000; n++) await ledger.add(`tenant-${n}`, 'a', 10, clock.now() + 1_000, 100)
  assert.equal(ledger.size, 1_000)
  await clock.advance(60_000)
  await ledger.add('acme', 'a', 10, clock.now() + 1_000, 100)
  assert.equal(ledger.size, 1)
})
