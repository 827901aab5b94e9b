import assert from 'node:assert/strict'
import { afterEach, describe, test } from 'node:test'
import { Refusal, StoreUnavailable } from '../kernel/errors.ts'
import type { JobEvent } from './delivery.ts'
import { asksForEvents, eventsOf } from './jobs.events.ts'
import { type JobHouse, jobHouse, NO_WISH } from './jobs.fixture.ts'

for (const [accept, expected] of [
  [undefined, false],
  ['', false],
  ['*/*', false],
  ['application/json', false],
  ['text/html, application/xhtml+xml, */*;q=0.8', false],
  ['text/event-stream', true],
  ['Text/Event-Stream; charset=utf-8', true],
  ['text/event-stream, */*', true],
  ['text/event-stream;q=0.5', true],
  ['text/event-stream;q=0', false],
  ['text/event-stream;q=0.0', false],
  ['text/event-stream;q=2', false],
  ['text/event-stream;q=0.4, application/json;q=0.5', false],
  ['text/event-stream;q=0.5, application/json;q=0.4', true],
  ['application/json, text/event-stream', false],
  ['text/event-stream;q=0.5, */*', false],
  ['text/event-stream, */*;q=0', true],
  ['text/*', true],
  ['text/*;q=0.5, text/event-stream;q=0', false],
  ['application/text/event-stream', false],
  ['x-text/event-stream', false],
] as const) {
  test(`Accept: ${accept} asks for ${expected ? 'events' : 'a document'}`, () => {
    assert.equal(asksForEvents(accept), expected)
  })
}

const opened: JobHouse[] = []
afterEach(() => {
  for (const { close } of opened.splice(0)) close()
})

function setup() {
  const home = jobHouse()
  opened.push(home)
  const { house, scheduler, clock } = home
  const leaving = new AbortController()
  const delivered = async (id: string, lastEventId?: string) =>
    eventsOf((await scheduler.look('acme', id))!, lastEventId, house)
  /** Whoever follows a job: what has been told so far, and whether that was all. */
  const follow = async (id: string, lastEventId?: string) => {
    const delivery = await delivered(id, lastEventId)
    assert.ok(delivery.kind === 'events')
    const seen: string[] = []
    const following = { seen, isOver: false, events: [] as JobEvent[] }
    const read = async () => {
      for await (const event of delivery.events(leaving.signal)) {
        following.events.push(event)
        if (event.kind !== 'change') seen.push(event.kind)
        else {
          const { status, position } = event.document
          seen.push(position === null ? `${event.revision} ${status}` : `${event.revision} ${status} ${position}`)
        }
      }
    }
    const over = read().finally(() => {
      following.isOver = true
    })
    await settled()
    return { ...following, following, over }
  }
  /** What can happen without time passing has happened. */
  const settled = () => clock.advance(0)
  return { ...home, leaving, delivered, follow, settled }
}

describe('a stream of events', () => {
  test('tells of each change as it happens, with its revision, and ends with the job', async () => {
    const { submit, claim, finish, follow, settled, scheduler, clock } = setup()
    const { seen, following, over } = await follow(await submit())
    assert.deepEqual(seen, ['open', '1 queued 1'])
    const job = await claim()
    await settled()
    assert.deepEqual(seen.slice(2), ['2 running'])
    await finish({ how: 'retry', delayMs: 1_000 }, job)
    await settled()
    assert.deepEqual(seen.slice(3), ['3 queued 1'])
    assert.equal(following.isOver, false)
    await clock.advance(1_000)
    await scheduler.tick(NO_WISH)
    await finish({ how: 'succeeded', result: Buffer.from('rows') }, await claim())
    await over
    assert.equal(seen.at(-1), '5 succeeded')
    assert.equal(clock.sleeping, 0)
  })

  test('begins with the job as it is', async () => {
    const { submit, claim, follow } = setup()
    const id = await submit()
    await claim()
    assert.deepEqual((await follow(id)).seen, ['open', '2 running'])
  })

  test('of a job that has ended has its end alone', async () => {
    const { succeed, follow } = setup()
    const { id } = await succeed(Buffer.from('rows'))
    const { seen, over } = await follow(id)
    await over
    assert.deepEqual(seen, ['open', '3 succeeded'])
  })

  test('carries the document of the job', async () => {
    const { submit, follow } = setup()
    const id = await submit()
    const { following } = await follow(id)
    const [, change] = following.events
    assert.ok(change?.kind === 'change')
    assert.equal(change.document.links.self, `/_sluice/jobs/${id}`)
  })

  test('does not repeat what its client has seen', async () => {
    const { submit, claim, follow, settled } = setup()
    const { seen } = await follow(await submit(), '1')
    assert.deepEqual(seen, ['open'])
    await claim()
    await settled()
    assert.deepEqual(seen, ['open', '2 running'])
  })

  test('tells a client that saw something else, or something odd, how the job is', async () => {
    const { submit, follow } = setup()
    const id = await submit()
    for (const lastEventId of ['0', '2', '', 'x', '01', '1 ']) {
      assert.deepEqual((await follow(id, lastEventId)).seen, ['open', '1 queued 1'])
    }
  })

  test('is no more for a client that has seen the end, which stops it from coming back', async () => {
    const { succeed, delivered } = setup()
    const { id } = await succeed(Buffer.from('rows'))
    const delivery = await delivered(id, '3')
    assert.ok(delivery.kind === 'answer')
    assert.equal(delivery.answer.status, 204)
  })

  test('tells of a line that moves, under the same id, every two seconds at most', async () => {
    const { submit, claim, follow, clock } = setup()
    for (let n = 0; n < 4; n++) await submit()
    const { seen } = await follow(await submit())
    assert.deepEqual(seen, ['open', '1 queued 5'])
    await claim()
    await claim()
    await clock.advance(1_999)
    assert.equal(seen.length, 2)
    await clock.advance(1)
    assert.deepEqual(seen.slice(2), ['1 queued 3'])
    await clock.advance(10_000)
    assert.equal(seen.length, 3)
    await claim()
    await clock.advance(2_000)
    assert.deepEqual(seen.slice(3), ['1 queued 2'])
  })

  test('keeps to two seconds when it is woken more often', async () => {
    const { submit, claim, follow, wake, settled, clock } = setup()
    for (let n = 0; n < 4; n++) await submit()
    const id = await submit()
    const { seen } = await follow(id)
    for (let n = 0; n < 19; n++) {
      await clock.advance(100)
      if (n % 6 === 0) await claim()
      wake(id)
      await settled()
    }
    assert.equal(seen.length, 2)
    await clock.advance(100)
    wake(id)
    await settled()
    assert.deepEqual(seen.slice(2), ['1 queued 1'])
  })

  test('is kept alive by a word every fifteen seconds without one', async () => {
    const { submit, claim, follow, settled, clock } = setup()
    const { seen } = await follow(await submit('acme ana', { queueMs: 3_600_000 }))
    await clock.advance(14_999)
    assert.equal(seen.length, 2)
    await clock.advance(1)
    assert.deepEqual(seen.slice(2), ['heartbeat'])
    await clock.advance(10_000)
    await claim()
    await settled()
    await clock.advance(14_999)
    assert.deepEqual(seen.slice(3), ['2 running'])
    await clock.advance(1)
    assert.deepEqual(seen.slice(4), ['heartbeat'])
    await clock.advance(30_000)
    assert.deepEqual(seen.slice(5), ['heartbeat', 'heartbeat'])
  })

  test('holds nothing more as soon as its client leaves', async () => {
    const { submit, follow, leaving, clock } = setup()
    const { over } = await follow(await submit())
    assert.equal(clock.sleeping, 1)
    leaving.abort()
    await over
    assert.equal(clock.sleeping, 0)
  })

  test('ends without a word when its job is forgotten', async () => {
    const { submit, follow, scheduler, clock } = setup()
    const { seen, over } = await follow(await submit())
    Object.assign(scheduler, { look: async () => null })
    await clock.advance(2_000)
    await over
    assert.deepEqual(seen, ['open', '1 queued 1'])
  })

  test('outlives a store that is away, and tells then what happened meanwhile', async () => {
    const { submit, claim, follow, scheduler, clock } = setup()
    const { seen } = await follow(await submit())
    const { look } = scheduler
    Object.assign(scheduler, { look: () => Promise.reject(new StoreUnavailable('queue.look')) })
    await claim()
    await clock.advance(16_000)
    assert.deepEqual(seen.slice(2), ['heartbeat'])
    Object.assign(scheduler, { look })
    await clock.advance(2_000)
    assert.deepEqual(seen.slice(3), ['2 running'])
  })

  test('is not begun while the store is away', async () => {
    const { submit, delivered, scheduler } = setup()
    const delivery = await delivered(await submit())
    assert.ok(delivery.kind === 'events')
    Object.assign(scheduler, { watch: () => Promise.reject(new StoreUnavailable('queue.watch')) })
    const events = delivery.events(new AbortController().signal)[Symbol.asyncIterator]()
    await assert.rejects(events.next(), (error) => error instanceof Refusal && error.code === 'STORE_UNAVAILABLE')
  })

  test('tells of a job that expires in the line', async () => {
    const { submit, follow, scheduler, clock } = setup()
    const { seen, over } = await follow(await submit('acme ana', { queueMs: 1_000 }))
    await clock.advance(1_000)
    await scheduler.tick(NO_WISH)
    await over
    assert.deepEqual(seen.slice(2), ['2 expired'])
  })
})
