import assert from 'node:assert/strict'
import { test } from 'node:test'
import { combined, type UpstreamView } from './desk.ts'

const view = (changes: Partial<UpstreamView> = {}): UpstreamView => ({
  ...{ name: 'main', breaker: 'closed', retryAt: null, waitUntilAt: null, room: null },
  ...{ urls: [{ url: 'http://a/', healthy: true, busy: 1 }], ...changes },
})

test('of what several processes see of an upstream the worst is told, and what is busy adds up', () => {
  const seen = [
    [view(), view({ name: 'other' })],
    [view({ breaker: 'open', retryAt: 900, room: 0, urls: [{ url: 'http://a/', healthy: false, busy: 2 }] })],
    [view({ breaker: 'half-open', waitUntilAt: 700 })],
    [view({ breaker: 'open', retryAt: 800, waitUntilAt: 600 })],
  ]
  assert.deepEqual(combined(seen), [
    view({
      ...{ breaker: 'open', retryAt: 800, waitUntilAt: 700, room: null },
      urls: [{ url: 'http://a/', healthy: false, busy: 5 }],
    }),
    view({ name: 'other' }),
  ])
})

test('room adds up where every process is bounded', () => {
  assert.equal(combined([[view({ room: 3 })], [view({ room: 0 })]])[0]!.room, 3)
})
