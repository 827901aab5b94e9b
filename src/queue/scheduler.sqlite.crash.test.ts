/** What the file of jobs owes when the process or the power fails. This file is also the process that is killed. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, statSync, truncateSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { ManualClock } from '../kernel/clock.manual.ts'
import { LIMITS, leaveBehind, OPEN, openAt, orderOf, place, wish } from './scheduler.sqlite.fixture.ts'
import type { SqliteScheduler } from './scheduler.sqlite.ts'
import type { Claimed, Ending } from './scheduler.ts'

const payloadOf = (id: string): Buffer => Buffer.from(id.repeat(1 + (Number(id.split('-')[1]) % 400)))
const resultOf = (id: string): Buffer => Buffer.from(`result of ${id}`)

const [, , role, at] = process.argv
if (role === 'work') await workForEver(at!)
else if (role === 'open') openOnce(at!)
else tests()

/** Submits, and runs some of it, in eight lanes at once; says what was promised. */
async function workForEver(file: string): Promise<void> {
  const scheduler = openAt(file)
  let made = 0
  const lane = async () => {
    for (;;) {
      const id = `${process.pid}-${made++}`
      await scheduler.submit(orderOf(id, { payload: payloadOf(id) }), LIMITS, OPEN)
      writeSync(1, `queued ${id}\n`)
      if (made % 3 === 0) await runOne(scheduler)
    }
  }
  await Promise.all(Array.from({ length: 8 }, lane))
}

async function runOne(scheduler: SqliteScheduler): Promise<void> {
  const [claimed] = (await scheduler.claim(wish(1))).claimed
  if (!claimed) return
  const { id, tenant, fence } = claimed
  const ending: Ending = { how: 'succeeded', result: resultOf(id) }
  await scheduler.finish({ id, tenant, fence, ending, servedMs: 1 }, wish(0))
  writeSync(1, `done ${id}\n`)
}

function openOnce(file: string): void {
  try {
    openAt(file)
  } catch (error) {
    writeSync(1, (error as Error).message)
  }
}

/** The process dies with its test, and its output is read line by line. */
function child(t: TestContext, role: string, file: string): ChildProcess {
  const spawned = spawn(process.execPath, [import.meta.filename, role, file], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => spawned.kill('SIGKILL'))
  return spawned
}

/** What it promised until it was killed, after so many promises. */
async function promisesOf(worker: ChildProcess, count: number): Promise<string[]> {
  let told = ''
  worker.stdout!.setEncoding('utf8').on('data', (text: string) => {
    told += text
    if (told.split('\n').length > count) worker.kill('SIGKILL')
  })
  await once(worker, 'close')
  return told.split('\n').slice(0, -1) // the last line is empty, or was cut short
}

/** Every job that waits, after lost leases have gone back into the line. */
async function claimAll(scheduler: SqliteScheduler): Promise<Map<string, Claimed>> {
  for (let dueAt: number | null = 0; dueAt !== null && dueAt <= Date.now(); )
    dueAt = (await scheduler.tick(wish(0))).nextDueAt
  const all = new Map<string, Claimed>()
  for (;;) {
    const { claimed } = await scheduler.claim(wish(100))
    if (claimed.length === 0) return all
    for (const job of claimed) {
      all.set(job.id, job)
      const ending: Ending = { how: 'succeeded', result: Buffer.from('x') }
      await scheduler.finish({ ...job, ending, servedMs: 1 }, wish(0))
    }
  }
}

async function checkPromises(scheduler: SqliteScheduler, promised: readonly string[]): Promise<void> {
  const done = promised.filter((line) => line.startsWith('done ')).map((line) => line.slice(5))
  for (const id of done) assert.deepEqual(await scheduler.result('ann', id), resultOf(id), id)
  const queued = new Set(promised.filter((line) => line.startsWith('queued ')).map((line) => line.slice(7)))
  const waiting = await claimAll(scheduler)
  for (const id of queued) {
    const job = waiting.get(id)
    if (job) assert.ok(job.payload.equals(payloadOf(id)), `the payload of ${id}`)
    else assert.equal((await scheduler.look('ann', id))?.status, 'succeeded', id)
  }
}

function tests(): void {
  test('what was promised is there after kill -9, five times over', async (t) => {
    const file = place(t)
    const promised: string[] = []
    for (let round = 0; round < 5; round++) {
      const some = await promisesOf(child(t, 'work', file), 1 + Math.floor(Math.random() * 1_500))
      assert.ok(some.length > 0)
      promised.push(...some)
      const scheduler = openAt(leaveBehind(t, file))
      await checkPromises(scheduler, promised)
      await scheduler.close()
    }
  })

  describe('after a power cut', () => {
    const setup = async (t: TestContext) => {
      const file = place(t)
      const scheduler = openAt(file, new ManualClock(), 'full')
      t.after(() => scheduler.close())
      const submit = (id: string) => scheduler.submit(orderOf(id, { payload: Buffer.alloc(9_000, id) }), LIMITS, OPEN)
      for (let n = 0; n < 20; n++) await submit(`old-${n}`)
      const ids = async (cut: (log: string) => void) => {
        const next = openAt(leaveBehind(t, file, cut), new ManualClock())
        const claimed = (await next.claim(wish(100))).claimed
        await next.close()
        for (const { id, payload } of claimed) assert.ok(payload.equals(Buffer.alloc(9_000, id)), id)
        return claimed.map(({ id }) => id)
      }
      const logBytes = () => statSync(`${file}-wal`).size
      return { submit, ids, logBytes, old: Array.from({ length: 20 }, (_, n) => `old-${n}`) }
    }

    for (const [what, bytes] of [
      ['a torn frame', Buffer.alloc(1_000, 7)],
      ['a whole frame of nothing', Buffer.alloc(24 + 4_096)],
      ['a page of noise', Buffer.from(Array.from({ length: 9_000 }, (_, n) => (n * 31) % 251))],
    ] as const) {
      test(`${what} at the end of the log takes nothing with it`, async (t) => {
        const { ids, old } = await setup(t)
        assert.deepEqual(await ids((log) => appendFileSync(log, bytes)), old)
      })
    }

    test('a half-written transaction never was, wherever it was cut; what had been answered is there', async (t) => {
      const { submit, ids, logBytes, old } = await setup(t)
      const before = logBytes()
      await submit('new')
      const after = logBytes()
      assert.ok(after > before)
      for (const size of [before, before + 1, before + 24, Math.floor((before + after) / 2), after - 4_096, after - 1])
        assert.deepEqual(await ids((log) => truncateSync(log, size)), old, `cut at ${size} of ${before}..${after}`)
      assert.deepEqual(await ids(() => {}), [...old, 'new'])
    })
  })

  describe('a second process', () => {
    test('is told that the directory is in use, and what to do', async (t) => {
      const file = place(t)
      const scheduler = openAt(file)
      t.after(() => scheduler.close())
      const second = child(t, 'open', file)
      let said = ''
      second.stdout!.setEncoding('utf8').on('data', (text: string) => {
        said += text
      })
      await once(second, 'close')
      assert.match(said, new RegExp(`another process has the directory ${dirname(file)} open: .*store\\.dir`))
      await scheduler.submit(orderOf('a'), LIMITS, OPEN) // the first one goes on
    })

    test('may have it once the first has let go', async (t) => {
      const file = place(t)
      await openAt(file).close()
      await openAt(file).close()
    })
  })
}
