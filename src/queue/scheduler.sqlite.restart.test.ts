import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  DONE,
  KEEP_MS,
  LIMITS,
  leaveBehind,
  OPEN,
  orderOf,
  QUEUE_MS,
  rowsOf,
  setup,
  wish,
} from './scheduler.sqlite.fixture.ts'
import { LEASE_MS } from './scheduler.ts'

describe('after a crash', () => {
  test('queued jobs stand where they stood, and new ones behind them', async (t) => {
    const { submit, claim, finish, crash } = setup(t)
    for (const id of ['c', 'a', 'b']) await submit(id)
    await submit('z', { class: 'interactive' })
    const [z, c] = await claim(2)
    await finish(c!, { how: 'back', renew: false })
    await finish(z!, { how: 'back', renew: false })
    const next = crash()
    await next.submit(orderOf('0'), LIMITS, OPEN)
    assert.equal((await next.look('ann', 'a'))?.position, 3)
    const order = (await claim(9, next)).map(({ id, payload }) => [id, payload.toString()])
    assert.deepEqual(
      order,
      ['z', 'c', 'a', 'b', '0'].map((id) => [id, `work of ${id}`]),
    )
  })

  test('a worker finds the mark of what waits', async (t) => {
    const { submit, crash } = setup(t)
    await submit('a')
    await crash().wait(['db'], 30_000, new AbortController().signal)
  })

  test('what ran is a lost lease: back with the next tick, with a fence that goes on', async (t) => {
    const { submit, claim, finish, crash } = setup(t)
    for (const id of ['a', 'b']) await submit(id)
    const [stale] = await claim()
    const next = crash()
    assert.deepEqual(
      (await claim(9, next)).map(({ id }) => id),
      ['b'],
    )
    assert.equal((await next.tick(wish(0))).lost, 1)
    const [again] = await claim(9, next)
    assert.deepEqual([again?.id, again?.fence, again?.attempt], ['a', 2, 2])
    assert.equal((await finish(stale!, DONE, next)).kept, false)
    assert.equal((await finish(again!, DONE, next)).kept, true)
  })

  test('lost leases are counted over all lives, and the third poisons', async (t) => {
    const { submit, claim, scheduler, clock, crash } = setup(t)
    await submit('a')
    for (let n = 0; n < 2; n++) {
      await claim()
      await clock.advance(LEASE_MS)
      await scheduler.tick(wish(0))
    }
    await claim()
    const next = crash()
    assert.deepEqual(
      (await next.tick(wish(0))).ended.map(({ id }) => id),
      ['a'],
    )
    assert.deepEqual(
      (await next.dead(9)).map(({ id }) => id),
      ['a'],
    )
  })

  test('poisoned jobs are still dead, kept for their seven days, and may be tried again', async (t) => {
    const { submit, claim, scheduler, clock, crash } = setup(t)
    await submit('a')
    for (let n = 0; n < 3; n++) {
      await claim()
      await clock.advance(LEASE_MS)
      await scheduler.tick(wish(0))
    }
    const next = crash()
    await clock.advance(KEEP_MS)
    assert.deepEqual([(await next.tick(wish(0))).forgotten, (await next.dead(9)).length], [[], 1])
    assert.equal((await next.retry('ann', 'a', QUEUE_MS, 100))?.retried, true)
    assert.equal((await claim(1, next))[0]?.payload.toString(), 'work of a')
  })

  test('a retry keeps its time', async (t) => {
    const { submit, claim, finish, clock, crash } = setup(t)
    await submit('a')
    await finish((await claim())[0]!, { how: 'retry', delayMs: 500.5 })
    await clock.advance(200)
    const next = crash()
    assert.equal((await next.tick(wish(0))).nextDueAt, clock.now() + 301)
    await clock.advance(300)
    await next.tick(wish(0))
    assert.deepEqual(await claim(1, next), [])
    await clock.advance(1)
    await next.tick(wish(0))
    assert.equal((await claim(1, next))[0]?.attempt, 2)
  })

  test('what ended has its result, its key, and the time that was left', async (t) => {
    const { submit, claim, finish, clock, crash } = setup(t)
    const idempotency = { key: 'k', fingerprint: 'f' }
    await submit('a', { idempotency })
    await finish((await claim())[0]!)
    await clock.advance(KEEP_MS - 100)
    const next = crash()
    assert.deepEqual(await next.submit(orderOf('b', { idempotency }), LIMITS, OPEN), { kind: 'repeat', id: 'a' })
    assert.deepEqual(await next.result('ann', 'a'), Buffer.from('rows'))
    const query = { tenant: 'ann', principal: 'p', status: null, limit: 9, after: null }
    assert.deepEqual(
      (await next.list(query)).map(({ id }) => id),
      ['a'],
    )
    await clock.advance(100)
    assert.deepEqual((await next.tick(wish(0))).forgotten, [{ id: 'a', tenant: 'ann', result: Buffer.from('rows') }])
  })

  test('what was cancelled as it ran is not run again, and nothing of its payload is left', async (t) => {
    const { file, open, submit, claim, scheduler, clock } = setup(t)
    await submit('a')
    await claim()
    await scheduler.cancel('ann', 'a', wish(0))
    const left = leaveBehind(t, file)
    const next = open(left)
    assert.equal((await next.look('ann', 'a'))?.status, 'cancelled')
    await clock.advance(LEASE_MS)
    assert.equal((await next.tick(wish(0))).lost, 0)
    assert.deepEqual(await claim(1, next), [])
    assert.deepEqual(await next.drop('ann', 'a'), { result: null })
    await next.close()
    assert.deepEqual(rowsOf(left), { job: 0, payload: 0, result: 0 })
  })

  test('what should have run while nobody was there has expired', async (t) => {
    const { submit, clock, crash } = setup(t)
    await submit('a')
    await clock.advance(QUEUE_MS)
    assert.deepEqual(
      (await crash().tick(wish(0))).ended.map(({ id, status }) => [id, status]),
      [['a', 'expired']],
    )
  })

  test('nobody waits any more', async (t) => {
    const { scheduler, submit, crash } = setup(t)
    const slot = { tenant: 'bob', upstream: 'db', route: 'r', class: 'default', width: 9, process: 'here' } as const
    for (const id of ['runs', 'waits']) await scheduler.acquire({ ...slot, id }, { ...LIMITS, hard: 1 }, OPEN)
    await submit('a')
    assert.deepEqual(await crash().tenants('0'), { cursor: '0', tenants: ['ann'] })
  })

  test('more jobs than a page are all there', async (t) => {
    const { submit, crash } = setup(t)
    const ids = Array.from({ length: 2_500 }, (_, n) => `job_${n}`)
    await Promise.all(ids.map((id) => submit(id)))
    const { jobs } = await crash().jobs('0')
    assert.deepEqual(jobs.map(({ id }) => id).sort(), ids.sort())
  })
})
