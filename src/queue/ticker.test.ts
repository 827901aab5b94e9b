import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { ManualClock } from '../kernel/clock.manual.ts'
import { StoreUnavailable } from '../kernel/errors.ts'
import type { Scheduler } from './scheduler.ts'
import { Ticker } from './ticker.ts'

type Due = number | null | 'away'

/** A ticker whose ticks find, one after the other, that the next thing is due in so many ms. */
function setup(t: TestContext, dues: Due[]) {
  const clock = new ManualClock()
  const tickedAt: number[] = []
  const startAt = clock.now()
  const scheduler = {
    async tick() {
      tickedAt.push(clock.now() - startAt)
      const due = dues.shift() ?? null
      if (due === 'away') throw new StoreUnavailable('queue.tick', new Error('gone'))
      return { ended: [], lost: 0, forgotten: [], held: false, nextDueAt: due === null ? null : clock.now() + due }
    },
  } as unknown as Scheduler
  const wish = () => ({ process: 'p', want: 0, upstreams: [] })
  const ticker = new Ticker({ scheduler, clock, random: () => 0, wish, onTicked: () => {} })
  t.after(() => ticker.close())
  ticker.start()
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 10) await clock.advance(10)
  }
  return { ticker, tickedAt, clock, pass }
}

test('looks every ten seconds, though nothing is known to be due', async (t) => {
  const { tickedAt, pass } = setup(t, [])
  await pass(20_500)
  assert.deepEqual(tickedAt, [10_000, 20_200])
})

test('looks when something is due that it has heard of', async (t) => {
  const { ticker, tickedAt, clock, pass } = setup(t, [])
  ticker.hear(clock.now() + 3_000)
  ticker.hear(clock.now() + 4_000)
  ticker.hear(null)
  await pass(5_000)
  assert.deepEqual(tickedAt, [3_000])
})

test('goes on soon when a tick could not deal with all that is due', async (t) => {
  const { ticker, tickedAt, clock, pass } = setup(t, [-500, -400, 0, 1_000])
  ticker.hear(clock.now() + 100)
  await pass(1_000)
  assert.deepEqual(tickedAt, [100, 120, 140, 160])
})

test('looks again a second after the store was away, not ten', async (t) => {
  const { ticker, tickedAt, clock, pass } = setup(t, ['away', null])
  ticker.hear(clock.now() + 100)
  await pass(3_000)
  assert.deepEqual(tickedAt, [100, 1_100])
})
