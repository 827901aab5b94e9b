import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../kernel/clock.manual.ts'
import { limiterContract } from './limiter.contract.ts'
import { MemoryLimiter } from './limiter.memory.ts'

limiterContract('memory', (clock) => new MemoryLimiter({ clock }))

test('past its bound the least recently used bucket is forgotten, and that is counted', async () => {
  const limiter = new MemoryLimiter({ clock: new ManualClock(), maxBuckets: 2 })
  const limit = { capacity: 1, perSecond: 1 }
  for (const tenant of ['a', 'b', 'c']) await limiter.take(tenant, 'requests', limit)
  assert.equal(limiter.evictions, 1)
  assert.equal((await limiter.take('b', 'requests', limit)).taken, false)
  assert.equal((await limiter.take('a', 'requests', limit)).taken, true)
})
