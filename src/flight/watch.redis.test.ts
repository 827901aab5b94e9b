import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../kernel/clock.manual.ts'
import { RedisWatch, recheckMs } from './watch.redis.ts'

for (const [leaseLeftMs, random, expectedMs] of [
  [5_000, 0, 800],
  [5_000, 0.5, 1_000],
  [5_000, 1, 1_200],
  [300, 0, 302],
  [300, 1, 322],
  [0, 0, 2],
] as const) {
  test(`a lease with ${leaseLeftMs} ms left is looked after in ${expectedMs} ms when the dice say ${random}`, () => {
    assert.equal(recheckMs(leaseLeftMs, random), expectedMs)
  })
}

function setup() {
  const clock = new ManualClock()
  const ends = { closed: 0, vain: 0 }
  const watch = new RedisWatch(
    { key: 'k', tenant: 'acme' },
    { clock, onClose: () => void ends.closed++, onVain: () => void ends.vain++ },
  )
  watch.lookIn(1_000)
  return { clock, ends, watch, stays: new AbortController().signal }
}

test('news that came before anyone waited is not lost', async () => {
  const { watch, stays, ends } = setup()
  watch.hear({ how: 'open' })
  assert.deepEqual(await watch.landing(stays), { how: 'open' })
  assert.deepEqual(ends, { closed: 1, vain: 0 })
})

test('without news it is time to look when the time is over, and not before', async () => {
  const { watch, stays, clock, ends } = setup()
  const landing = watch.landing(stays)
  await clock.advance(999)
  assert.equal(ends.closed, 0)
  await clock.advance(1)
  assert.equal(await landing, null)
  assert.deepEqual(ends, { closed: 1, vain: 1 })
})

test('a gap in the bus is a reason to look at once', async () => {
  const { watch, stays, clock } = setup()
  const landing = watch.landing(stays)
  watch.gap()
  assert.equal(await landing, null)
  assert.equal(clock.sleeping, 0)
})

test('who leaves is let go at once, and leaves no timer', async () => {
  const { watch, clock, ends } = setup()
  const client = new AbortController()
  const landing = watch.landing(client.signal)
  client.abort(new Error('client left'))
  await assert.rejects(landing, /client left/)
  assert.equal(clock.sleeping, 0)
  assert.deepEqual(ends, { closed: 1, vain: 0 })
})

test('closing ends a wait', async () => {
  const { watch, stays } = setup()
  const landing = watch.landing(stays)
  watch.close()
  assert.equal(await landing, null)
})
