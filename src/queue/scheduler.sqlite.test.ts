import assert from 'node:assert/strict'
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, StatementSync } from 'node:sqlite'
import { describe, type TestContext, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { until } from '../../test/support/until.ts'
import { ManualClock } from '../kernel/clock.manual.ts'
import { schedulerContract } from './scheduler.contract.ts'
import {
  KEEP_MS,
  LIMITS,
  leaveBehind,
  OPEN,
  openAt,
  orderOf,
  place,
  QUEUE_MS,
  rowsOf,
  wish,
} from './scheduler.sqlite.fixture.ts'
import type { SqliteScheduler } from './scheduler.sqlite.ts'
import { type Claimed, type Ending, type JobOrder, LEASE_MS, MAX_STEPS } from './scheduler.ts'

schedulerContract('SQLite', async (clock, t) => {
  const scheduler = openAt(place(t), clock)
  t.after(() => scheduler.close())
  return { scheduler, process: 'here' }
})

const DONE: Ending = { how: 'succeeded', result: Buffer.from('rows') }

const setup = (t: TestContext) => {
  const clock = new ManualClock()
  const file = place(t)
  const opened: SqliteScheduler[] = []
  const open = (at = file) => {
    opened.push(openAt(at, clock))
    return opened.at(-1)!
  }
  t.after(() => Promise.all(opened.map((scheduler) => scheduler.close())))
  const scheduler = open()
  const submit = (id: string, some: Partial<JobOrder> = {}) => scheduler.submit(orderOf(id, some), LIMITS, OPEN)
  const claim = async (want = 1, from = scheduler) => (await from.claim(wish(want))).claimed
  const finish = ({ id, tenant, fence }: Claimed, ending: Ending = DONE, from = scheduler) =>
    from.finish({ id, tenant, fence, ending, servedMs: 100 }, wish(0))
  /** The process ends without a farewell, and another finds what it had written. */
  const crash = () => open(leaveBehind(t, file))
  return { clock, file, open, scheduler, submit, claim, finish, crash }
}

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
    const { submit, claim, scheduler, crash, clock } = setup(t)
    await submit('a')
    await claim()
    await scheduler.cancel('ann', 'a', wish(0))
    const next = crash()
    assert.equal((await next.look('ann', 'a'))?.status, 'cancelled')
    await clock.advance(LEASE_MS)
    assert.equal((await next.tick(wish(0))).lost, 0)
    assert.deepEqual(await claim(1, next), [])
    await next.close()
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

describe('the file of jobs', () => {
  test('is its user’s alone, and has no log left once it is closed', async (t) => {
    const { file, scheduler, submit } = setup(t)
    await submit('a')
    const modes = readdirSync(dirname(file)).map((name) => statSync(`${dirname(file)}/${name}`).mode & 0o777)
    assert.deepEqual([statSync(dirname(file)).mode & 0o777, ...modes], [0o700, 0o600, 0o600])
    await Promise.all([scheduler.close(), scheduler.close()])
    assert.deepEqual(readdirSync(dirname(file)), ['jobs.sqlite'])
  })

  test('has a job before its submission is answered, and not before the turn ends', async (t) => {
    const { file, open, submit } = setup(t)
    const answered = submit('a')
    const early = open(leaveBehind(t, file))
    await answered
    const late = open(leaveBehind(t, file))
    assert.deepEqual([(await early.jobs('0')).jobs.length, (await late.jobs('0')).jobs.length], [0, 1])
  })

  test('takes what one turn brings in one transaction', async (t) => {
    const { submit, claim } = setup(t)
    let commits = 0
    const run = StatementSync.prototype.run
    t.mock.method(StatementSync.prototype, 'run', function (this: StatementSync, ...args: Parameters<typeof run>) {
      if (this.sourceSQL === 'COMMIT') commits++
      return run.apply(this, args)
    })
    await Promise.all([...Array.from({ length: 50 }, (_, n) => submit(`job_${n}`)), claim(9)])
    assert.equal(commits, 1)
    await claim(9)
    assert.equal(commits, 2)
  })

  test('has what is not yet answered when it is closed', async (t) => {
    const { file, scheduler, submit } = setup(t)
    const answered = submit('a')
    await scheduler.close()
    assert.ok('kind' in (await answered))
    assert.deepEqual(rowsOf(file), { job: 1, payload: 1, result: 0 })
  })

  test('is empty when 10,000 jobs were submitted, run and forgotten', { timeout: 50_000 }, async (t) => {
    const { file, scheduler, clock, submit, claim, finish } = setup(t)
    for (let round = 0; round < 10; round++) {
      const ids = Array.from({ length: 1_000 }, (_, n) => `job_${round}_${n}`)
      await Promise.all(ids.map((id, n) => submit(id, { keepsPayload: n % 2 === 0 })))
      for (let claimed = await claim(MAX_STEPS); claimed.length > 0; claimed = await claim(MAX_STEPS)) {
        const failed: Ending = { how: 'failed', error: 'E', result: null }
        await Promise.all(claimed.map((job, n) => finish(job, n % 3 === 0 ? failed : DONE)))
      }
    }
    await clock.advance(KEEP_MS)
    for (let n = 0; n < 100; n++) await scheduler.tick(wish(0))
    assert.deepEqual(await scheduler.jobs('0'), { cursor: '0', jobs: [] })
    await scheduler.close()
    assert.deepEqual(rowsOf(file), { job: 0, payload: 0, result: 0 })
  })

  test('has the payload of a job only as long as that may run, and no result before its end', async (t) => {
    const { file, scheduler, submit, claim, finish } = setup(t)
    for (const id of ['queued', 'kept', 'done', 'dropped']) await submit(id, { keepsPayload: id === 'kept' })
    const [queued, kept, done, dropped] = await claim(9)
    await finish(queued!, { how: 'back', renew: false })
    await finish(kept!, { how: 'failed', error: 'E', result: Buffer.from('no') })
    await finish(done!)
    await finish(dropped!)
    await scheduler.drop('ann', 'dropped')
    await scheduler.close()
    assert.deepEqual(rowsOf(file), { job: 3, payload: 2, result: 2 })
  })

  test('holds the bytes, and memory does not', async (t) => {
    const { submit, claim, finish } = setup(t)
    const MiB = 1024 * 1024
    const before = bytesHeld()
    for (let n = 0; n < 60; n++) await submit(`job_${n}`, { payload: Buffer.alloc(MiB, n) })
    await until(() => bytesHeld() - before < 10 * MiB, 'the memory of 60 queued ones let go')
    for (let n = 0; n < 60; n++) await finish((await claim())[0]!, { how: 'succeeded', result: Buffer.alloc(MiB, n) })
    await until(() => bytesHeld() - before < 10 * MiB, 'the memory of 60 ended ones let go')
  })

  test('of a newer version is refused by name, and left as it is', async (t) => {
    const { file, scheduler, open } = setup(t)
    await scheduler.close()
    const database = new DatabaseSync(file)
    database.exec('PRAGMA user_version = 2')
    database.close()
    const refused = {
      name: 'DatabaseUnusable',
      message: new RegExp(`${file} were written by a newer Sluice \\(schema 2`),
    }
    assert.throws(() => open(), refused)
    assert.throws(() => open(), refused)
  })

  test('that is none is refused by name', async (t) => {
    const { file, scheduler, open } = setup(t)
    await scheduler.close()
    writeFileSync(file, 'a text, and no database at all. '.repeat(100))
    assert.throws(() => open(), { name: 'DatabaseUnusable', message: new RegExp(`${file} cannot be opened`) })
    assert.ok(existsSync(file))
  })
})

/** Bytes of buffers that are still referred to. */
function bytesHeld(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  return process.memoryUsage().arrayBuffers
}
