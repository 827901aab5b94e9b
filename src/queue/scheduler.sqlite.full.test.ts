import assert from 'node:assert/strict'
import { StatementSync } from 'node:sqlite'
import { describe, type TestContext, test } from 'node:test'
import { ManualClock } from '../kernel/clock.manual.ts'
import { StoreUnavailable } from '../kernel/errors.ts'
import {
  DONE,
  KEEP_MS,
  LIMITS,
  leaveBehind,
  OPEN,
  openAt,
  orderOf,
  place,
  rowsOf,
  wish,
} from './scheduler.sqlite.fixture.ts'
import { type Claimed, MAX_LOST } from './scheduler.ts'

describe('while the disk is full', () => {
  const setup = (t: TestContext) => {
    const file = place(t)
    const clock = new ManualClock()
    const scheduler = openAt(file, clock)
    t.after(() => scheduler.close())
    const disk = { isFull: false }
    const run = StatementSync.prototype.run
    t.mock.method(StatementSync.prototype, 'run', function (this: StatementSync, ...args: Parameters<typeof run>) {
      if (disk.isFull && this.sourceSQL === 'COMMIT') throw new Error('database or disk is full')
      return run.apply(this, args)
    })
    const submit = (id: string) => scheduler.submit(orderOf(id), LIMITS, OPEN)
    const claim = async () => (await scheduler.claim(wish(1))).claimed[0]!
    const finish = ({ id, tenant, fence }: Claimed) =>
      scheduler.finish({ id, tenant, fence, ending: DONE, servedMs: 1 }, wish(1))
    const refused = (asked: Promise<unknown>) =>
      assert.rejects(asked, (error) => error instanceof StoreUnavailable && error.op === 'queue.commit')
    return { file, clock, scheduler, disk, submit, claim, finish, refused }
  }

  test('a submission is refused, never runs, and may come again', async (t) => {
    const { file, scheduler, disk, submit, claim, refused } = setup(t)
    disk.isFull = true
    await Promise.all(['a', 'b'].map((id) => refused(submit(id))))
    await refused(submit('c'))
    assert.deepEqual(await scheduler.jobs('0'), { cursor: '0', jobs: [] })
    disk.isFull = false
    await submit('b')
    assert.equal((await claim()).id, 'b')
    await scheduler.close()
    assert.deepEqual(rowsOf(file), { job: 1, payload: 1, result: 0 })
  })

  test('a submission that could not be kept takes no token, but for those of the first failure', async (t) => {
    const { clock, scheduler, disk, refused } = setup(t)
    const rate = { emissionUs: 60_000_000, burst: 3, bucket: 'ann:requests', nowAt: clock.now() }
    const submit = (id: string) => scheduler.submit(orderOf(id), LIMITS, { ...OPEN, rate })
    disk.isFull = true
    for (const id of ['a', 'b', 'c', 'd']) await refused(submit(id))
    disk.isFull = false
    const told = await submit('e')
    assert.equal(told.kind === 'queued' && told.rate?.remaining, 1)
  })

  test('a job that is claimed all the while is neither lost nor out of its place', async (t) => {
    const { scheduler, disk, submit, claim, refused } = setup(t)
    for (const id of ['a', 'b']) await submit(id)
    disk.isFull = true
    for (let n = 0; n < 2 * MAX_LOST; n++) await refused(claim())
    disk.isFull = false
    await scheduler.wait(['db'], 30_000, new AbortController().signal)
    const { id, attempt } = await claim()
    assert.deepEqual([id, attempt, (await scheduler.look('ann', 'a'))?.lost], ['a', 1, 0])
  })

  test('an ending is held, and kept when it comes again', async (t) => {
    const { clock, file, scheduler, disk, submit, claim, finish, refused } = setup(t)
    for (const id of ['a', 'b']) await submit(id)
    const claimed = await claim()
    disk.isFull = true
    for (let n = 0; n < 3; n++) await refused(finish(claimed))
    disk.isFull = false
    const told = await finish(claimed)
    assert.deepEqual([told.kept, told.status, told.claimed.map(({ id }) => id)], [true, 'succeeded', ['b']])
    assert.equal((await finish(claimed)).kept, true, 'however often its answer is lost')
    assert.deepEqual(await scheduler.result('ann', 'a'), Buffer.from('rows'))
    await clock.advance(KEEP_MS)
    await scheduler.close()
    assert.deepEqual(rowsOf(file), { job: 2, payload: 1, result: 1 })
  })

  test('what was changed is written by whatever comes next', async (t) => {
    const { file, scheduler, disk, submit, refused } = setup(t)
    for (const id of ['a', 'b']) await submit(id)
    disk.isFull = true
    await refused(scheduler.cancel('ann', 'a', wish(0)))
    disk.isFull = false
    await scheduler.tick(wish(0))
    const next = openAt(leaveBehind(t, file), new ManualClock())
    t.after(() => next.close())
    assert.equal((await next.look('ann', 'a'))?.status, 'cancelled')
  })
})
