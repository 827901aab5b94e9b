import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Scheduler } from '../queue/scheduler.ts'
import { busyTenants, loadDocument, totalOf } from './loads.ts'

const waiting = (interactive: number, ordinary: number, batch: number) => ({ interactive, default: ordinary, batch })

describe('the tenants with work', () => {
  const scheduler = (count: number, perPage: number) =>
    ({
      async tenants(cursor: string) {
        const from = Number(cursor)
        const tenants = Array.from({ length: Math.min(perPage, count - from) }, (_, at) => `t${from + at}`)
        return { cursor: from + perPage < count ? `${from + perPage}` : '0', tenants }
      },
    }) as unknown as Scheduler

  for (const [count, told, truncated] of [
    [0, 0, false],
    [999, 999, false],
    [1_000, 1_000, false],
    [1_001, 1_000, true],
    [100_000, 1_000, true],
  ] as const) {
    test(`are ${told} of ${count}${truncated ? ', and it is said that there are more' : ''}`, async () => {
      for (const perPage of [100, 300]) {
        const busy = await busyTenants(scheduler(count, perPage))
        assert.deepEqual([busy.tenants.length, busy.truncated], [told, truncated])
      }
    })
  }
})

describe('a load', () => {
  const load = { tenant: 'acme', running: 2, paused: false }

  test('says how long the first of the line has waited', () => {
    const told = loadDocument({ ...load, depth: [1, 0, 3], oldestAt: 1_000 }, 4_250)
    assert.deepEqual(told, { running: 2, waiting: waiting(1, 0, 3), oldestSeconds: 3.25 })
  })

  test('of nobody who waits has no oldest, and clocks may disagree', () => {
    assert.equal(loadDocument({ ...load, depth: [0, 0, 0], oldestAt: null }, 1).oldestSeconds, null)
    assert.equal(loadDocument({ ...load, depth: [1, 0, 0], oldestAt: 2 }, 1).oldestSeconds, 0)
  })

  test('adds up with others, and of nobody to nothing', () => {
    const some = [
      { running: 1, waiting: waiting(1, 2, 3), oldestSeconds: 5 },
      { running: 2, waiting: waiting(0, 0, 1), oldestSeconds: 9 },
      { running: 4, waiting: waiting(0, 0, 0), oldestSeconds: null },
    ]
    assert.deepEqual(totalOf(some), { running: 7, waiting: waiting(1, 2, 4), oldestSeconds: 9 })
    assert.deepEqual(totalOf([]), { running: 0, waiting: waiting(0, 0, 0), oldestSeconds: null })
  })
})
