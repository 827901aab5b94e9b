import assert from 'node:assert/strict'
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, StatementSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { until } from '../../test/support/until.ts'
import { schedulerContract } from './scheduler.contract.ts'
import { DONE, KEEP_MS, leaveBehind, openAt, place, rowsOf, setup, wish } from './scheduler.sqlite.fixture.ts'
import { type Ending, MAX_STEPS } from './scheduler.ts'

schedulerContract('SQLite', async (clock, t) => {
  const scheduler = openAt(place(t), clock)
  t.after(() => scheduler.close())
  return { scheduler, process: 'here' }
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
    const submitted = Promise.all(Array.from({ length: 50 }, (_, n) => submit(`job_${n}`)))
    const [claimed] = await Promise.all([claim(9), submitted])
    assert.equal(commits, 1)
    for (const { id, payload } of claimed) assert.equal(payload.toString(), `work of ${id}`)
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
