import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdirSync, rmSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, test } from 'node:test'
import { gzipSync, zstdDecompressSync } from 'node:zlib'
import { Refusal, type RefusalCode, StoreUnavailable } from '../kernel/errors.ts'
import { encodeStored } from '../results/stored.ts'
import type { Call } from './call.ts'
import type { Delivery } from './delivery.ts'
import type { JobDocument } from './document.ts'
import { type JobHouse, jobHouse, NO_WISH } from './jobs.fixture.ts'
import { jobs } from './jobs.ts'

const opened: JobHouse[] = []
afterEach(() => {
  for (const { close } of opened.splice(0)) close()
})

function setup() {
  const home = jobHouse()
  opened.push(home)
  const { house, clock } = home
  const closing = new AbortController()
  const walk = async (
    target: string,
    {
      as = 'acme ana' as string | null,
      method = 'GET',
      headers = {},
      signal = new AbortController().signal,
      call: given = {} as Partial<Call>,
    } = {},
  ): Promise<Delivery> => {
    const [path, query = ''] = target.split('?')
    const call = {
      ...{ id: 'r1', method, path, query, startedAt: clock.now(), signal, rawHeaders: [] },
      headers: { ...(as !== null && { authorization: as }), ...headers },
      timings: { auth: 0, cache: 0, queue: 0, upstream: 0 },
      facts: { tenant: null, principal: null, route: '', key: undefined },
      ...given,
    } as unknown as Call
    return jobs(call, house, closing.signal)
  }
  const ask = async (target: string, how: Parameters<typeof walk>[1] = {}) => told(await walk(target, how))
  const show = (id: string, how: Parameters<typeof walk>[1] = {}) => ask(`/_sluice/jobs/${id}`, how)
  const result = async (id: string, how: Parameters<typeof walk>[1] = {}) =>
    received(await walk(`/_sluice/jobs/${id}/result`, how))
  /** Until somebody waits. */
  const held = async () => {
    while (clock.sleeping === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  return { ...home, closing, walk, ask, show, result, held }
}

const headersOf = (flat: readonly string[]): Record<string, string> =>
  Object.fromEntries(flat.flatMap((name, n) => (n % 2 === 0 ? [[name, flat[n + 1]!]] : [])))

function told(delivery: Delivery) {
  assert.ok(delivery.kind === 'answer')
  assert.equal(delivery.outcome, 'queued')
  const { status, headers, body } = delivery.answer
  return { status, headers: headersOf(headers), document: JSON.parse(body.toString()) as JobDocument }
}

async function received(delivery: Delivery) {
  assert.ok(delivery.kind === 'result')
  const pieces: Buffer[] = []
  for await (const piece of delivery.body) pieces.push(piece)
  const { status, headers, bytes, outcome } = delivery
  return { status, headers: headersOf(headers), bytes, outcome, body: Buffer.concat(pieces) }
}

const refused = (asked: Promise<unknown>, code: RefusalCode, detail?: RegExp): Promise<Refusal> =>
  asked.then(
    () => assert.fail(`${code} was expected`),
    (error) => {
      if (!(error instanceof Refusal)) throw error
      assert.equal(error.code, code)
      if (detail) assert.match(String(error.detail), detail)
      return error
    },
  )

const store = (home: ReturnType<typeof setup>, method: keyof JobHouse['scheduler']) => {
  Object.assign(home.scheduler, { [method]: () => Promise.reject(new StoreUnavailable(`queue.${method}`)) })
}

describe('a job', () => {
  test('is shown to its owner, and to nobody else', async () => {
    const { submit, show } = setup()
    const ids = {
      'acme ana': await submit('acme ana'),
      acme: await submit('acme'),
      'globex ana': await submit('globex ana'),
    }
    for (const as of ['acme ana', 'acme bob', 'acme', 'acme none', 'globex ana']) {
      for (const [owner, id] of Object.entries(ids)) {
        if (as === owner) assert.equal((await show(id, { as })).document.id, id)
        else await refused(show(id, { as }), 'JOB_NOT_FOUND')
      }
    }
  })

  test('of somebody else has no result, is not cancelled and has no events', async () => {
    const { submit, walk, show, scheduler } = setup()
    const id = await submit('acme ana')
    const as = 'acme bob'
    await refused(walk(`/_sluice/jobs/${id}/result`, { as }), 'JOB_NOT_FOUND')
    await refused(walk(`/_sluice/jobs/${id}`, { as, method: 'DELETE' }), 'JOB_NOT_FOUND')
    await refused(show(id, { as, headers: { accept: 'text/event-stream' } }), 'JOB_NOT_FOUND')
    await refused(show(id, { as, headers: { prefer: 'wait=20' } }), 'JOB_NOT_FOUND')
    assert.equal((await scheduler.look('acme', id))!.status, 'queued')
  })

  test('with an id that none has is not even asked for', async () => {
    const home = setup()
    store(home, 'look')
    const id = `job_${'0A'.repeat(13)}`
    await refused(home.show(id), 'STORE_UNAVAILABLE')
    for (const malformed of [
      'job_1',
      id.toLowerCase(),
      `${id}0`,
      `${id}%20`,
      `x${id}`,
      id.replace('A', 'I'),
      '*',
      ' ',
    ]) {
      await refused(home.show(malformed), 'JOB_NOT_FOUND')
    }
  })

  test('is shown in its place, by what is true now, and nobody keeps that', async () => {
    const { submit, show, claim } = setup()
    const [first, second] = [await submit(), await submit()]
    const { status, headers, document } = await show(second)
    assert.equal(status, 200)
    assert.equal(headers['cache-control'], 'no-store')
    assert.equal(headers['preference-applied'], undefined)
    assert.equal(document.position, 2)
    await claim()
    assert.equal((await show(first)).document.status, 'running')
    assert.equal((await show(second)).document.position, 1)
  })

  test('is of no interest to somebody without a token', async () => {
    const { submit, walk } = setup()
    const id = await submit()
    for (const path of ['', `/${id}`, `/${id}/result`]) {
      await refused(walk(`/_sluice/jobs${path}`, { as: null }), 'TOKEN_MISSING')
    }
  })

  test('of a tenant that is not listed is refused, of a paused one is shown and cancelled', async () => {
    const { submit, show, walk } = setup()
    const id = await submit('sleepy ana')
    await refused(show(id, { as: 'nobody ana' }), 'TENANT_UNKNOWN')
    assert.equal((await show(id, { as: 'sleepy ana' })).document.status, 'queued')
    const cancelled = told(await walk(`/_sluice/jobs/${id}`, { as: 'sleepy ana', method: 'DELETE' }))
    assert.equal(cancelled.document.status, 'cancelled')
  })

  test('is asked for within ingressPerSecond', async () => {
    const { submit, show, tenants } = setup()
    const id = await submit()
    tenants.acme = { ingress: { capacity: 1, perSecond: 1 } }
    await show(id)
    await refused(show(id), 'RATE_LIMITED', /ingressPerSecond/)
  })

  test('leaves in the log who asked', async () => {
    const { submit, show } = setup()
    const facts = { tenant: null, principal: null, route: '', key: undefined }
    await show(await submit(), { call: { facts } })
    assert.deepEqual(facts, { tenant: 'acme', principal: 'ana', route: 'jobs', key: undefined })
  })

  for (const [method, path] of [
    ['POST', '/_sluice/jobs'],
    ['DELETE', '/_sluice/jobs'],
    ['GET', '/_sluice/jobs/'],
    ['PUT', '/_sluice/jobs/job_1'],
    ['OPTIONS', '/_sluice/jobs/job_1'],
    ['DELETE', '/_sluice/jobs/job_1/result'],
    ['GET', '/_sluice/jobs/job_1/result/'],
    ['GET', '/_sluice/jobs/job_1/other'],
  ] as const) {
    test(`knows no ${method} ${path}, and says what there is`, async () => {
      await refused(setup().walk(path, { method }), 'NOT_FOUND', /DELETE \/_sluice\/jobs\/\{id\}/)
    })
  }

  test('cannot be told of while the store is away', async () => {
    for (const [method, target, verb] of [
      ['look', '/_sluice/jobs/ID', 'GET'],
      ['look', '/_sluice/jobs/ID/result', 'GET'],
      ['cancel', '/_sluice/jobs/ID', 'DELETE'],
      ['list', '/_sluice/jobs', 'GET'],
    ] as const) {
      const home = setup()
      const id = await home.submit()
      store(home, method)
      const refusal = await refused(home.walk(target.replace('ID', id), { method: verb }), 'STORE_UNAVAILABLE')
      assert.equal(refusal.retryAfterMs, 1_000)
    }
  })
})

describe('an answer that is held', () => {
  test('comes as soon as the job has ended', async () => {
    const { submit, claim, finish, show, held, clock } = setup()
    const id = await submit()
    const answer = show(id, { headers: { prefer: 'wait=20' } })
    await held()
    const job = await claim()
    await finish({ how: 'failed', error: '{"code":"UPSTREAM_INVALID"}', result: null }, job)
    const { document, headers } = await answer
    assert.equal(document.status, 'failed')
    assert.equal(headers['preference-applied'], 'wait=20')
    assert.equal(clock.sleeping, 0)
  })

  test('comes as soon as the job is cancelled', async () => {
    const { submit, walk, show, held } = setup()
    const id = await submit()
    const answer = show(id, { headers: { prefer: 'wait=20' } })
    await held()
    await walk(`/_sluice/jobs/${id}`, { method: 'DELETE' })
    assert.equal((await answer).document.status, 'cancelled')
  })

  test('comes when it has waited as long as was preferred, as the job is then', async () => {
    const { submit, claim, show, held, clock } = setup()
    const id = await submit()
    let isThere = false
    const answer = show(id, { headers: { prefer: 'wait=20' } }).finally(() => {
      isThere = true
    })
    await held()
    await claim()
    await clock.advance(19_999)
    assert.equal(isThere, false)
    await clock.advance(1)
    assert.equal((await answer).document.status, 'running')
  })

  test('comes at once where the job has ended, or nobody wants to wait', async () => {
    const { submit, succeed, show } = setup()
    const { id } = await succeed(Buffer.from('rows'))
    assert.equal((await show(id, { headers: { prefer: 'wait=20' } })).headers['preference-applied'], 'wait=20')
    const queued = await show(await submit(), { headers: { prefer: 'wait=0' } })
    assert.equal(queued.headers['preference-applied'], 'wait=0')
  })

  test('is held no longer than five minutes, and says so', async () => {
    const { submit, show, held, clock } = setup()
    const answer = show(await submit('acme ana', { queueMs: 3_600_000 }), { headers: { prefer: 'wait=9999' } })
    await held()
    await clock.advance(300_000)
    assert.equal((await answer).headers['preference-applied'], 'wait=300')
  })

  test('is dropped at once when its client leaves', async () => {
    const { submit, show, held, clock } = setup()
    const leaving = new AbortController()
    const answer = show(await submit(), { headers: { prefer: 'wait=20' }, signal: leaving.signal })
    await held()
    leaving.abort(new Error('left'))
    await assert.rejects(answer, /left/)
    assert.equal(clock.sleeping, 0)
  })

  test('comes as it is when the gateway shuts down', async () => {
    const { submit, show, held, closing, clock } = setup()
    const answer = show(await submit(), { headers: { prefer: 'wait=20' } })
    await held()
    closing.abort()
    assert.equal((await answer).document.status, 'queued')
    assert.equal(clock.sleeping, 0)
  })

  test('comes as it was last known when the store goes away', async () => {
    const home = setup()
    const answer = home.show(await home.submit(), { headers: { prefer: 'wait=20' } })
    await home.held()
    store(home, 'look')
    await home.clock.advance(2_000)
    assert.equal((await answer).document.status, 'queued')
  })

  test('is JOB_NOT_FOUND when the job is forgotten meanwhile', async () => {
    const { submit, show, held, scheduler, clock } = setup()
    const id = await submit()
    const answer = refused(show(id, { headers: { prefer: 'wait=20' } }), 'JOB_NOT_FOUND')
    await held()
    Object.assign(scheduler, { look: async () => null })
    await clock.advance(2_000)
    await answer
  })
})

describe('a result', () => {
  const TEXT = Buffer.from('region,amount\n'.repeat(5_000))

  test('is the upstream’s own status, content headers and body', async () => {
    const { succeed, result } = setup()
    const headers = [
      'content-type',
      'text/csv',
      'content-disposition',
      'attachment',
      'vary',
      'Accept',
      'x-rows',
      '5000',
    ]
    const { id } = await succeed(TEXT, { status: 201, headers })
    const got = await result(id)
    assert.equal(got.status, 201)
    assert.equal(got.outcome, 'hit')
    assert.ok(got.body.equals(TEXT))
    assert.equal(got.bytes, TEXT.length)
    assert.deepEqual(got.headers, {
      'content-type': 'text/csv',
      'content-disposition': 'attachment',
      'x-rows': '5000',
      'cache-control': 'private, no-cache',
      vary: 'Accept, Accept-Encoding',
    })
  })

  test('carries nothing that was said to somebody else, or at another time', async () => {
    const { succeed, result } = setup()
    const names = [
      'set-cookie',
      'cache-control',
      'date',
      'expires',
      'pragma',
      'x-request-id',
      'age',
      'ratelimit',
      'connection',
    ]
    const { id } = await succeed(TEXT, { headers: names.flatMap((name) => [name, 'theirs']) })
    assert.ok(!JSON.stringify((await result(id)).headers).includes('theirs'))
  })

  for (const [accept, coding] of [
    [undefined, 'identity'],
    ['', 'identity'],
    ['gzip', 'identity'],
    ['zstd;q=0, gzip', 'identity'],
    ['gzip, zstd', 'zstd'],
    ['*', 'zstd'],
  ] as const) {
    test(`stored in zstd goes in ${coding} to a client that accepts ${JSON.stringify(accept)}`, async () => {
      const { succeed, result } = setup()
      const { id, stored } = await succeed(TEXT)
      assert.equal(stored.coding, 'zstd')
      const got = await result(id, { headers: { 'accept-encoding': accept } })
      assert.equal(got.headers['content-encoding'], coding === 'zstd' ? 'zstd' : undefined)
      assert.equal(got.bytes, got.body.length)
      assert.ok((coding === 'zstd' ? zstdDecompressSync(got.body) : got.body).equals(TEXT))
    })
  }

  test('stored in gzip goes as it is, or decoded', async () => {
    const { submit, claim, finish, result, clock } = setup()
    const id = await submit()
    const body = gzipSync(TEXT)
    const sizes = { rawBytes: TEXT.length, bytes: body.length, expiresAt: clock.now() + 60_000 }
    const stored = { tier: 'inline', status: 200, headers: [], coding: 'gzip', ...sizes, body } as const
    await finish({ how: 'succeeded', result: encodeStored({ ...stored, headers: [] }) }, await claim())
    const coded = await result(id, { headers: { 'accept-encoding': 'gzip' } })
    assert.ok(coded.body.equals(body))
    assert.equal(coded.headers['content-encoding'], 'gzip')
    assert.ok((await result(id)).body.equals(TEXT))
  })

  test('stored in no coding goes to everyone', async () => {
    const { succeed, result } = setup()
    const body = randomBytes(50_000)
    const { id, stored } = await succeed(body)
    assert.deepEqual([stored.coding, stored.tier], ['identity', 'file'])
    const got = await result(id, { headers: { 'accept-encoding': 'gzip, zstd' } })
    assert.ok(got.body.equals(body))
    assert.equal(got.headers['content-encoding'], undefined)
  })

  test('is not there while the job is queued or runs, and says when to ask again', async () => {
    const { submit, claim, result } = setup()
    const ids: string[] = []
    for (let n = 0; n < 9; n++) ids.push(await submit())
    const last = await refused(result(ids.at(-1)!), 'JOB_NOT_FINISHED', /queued/)
    assert.equal(last.retryAfterMs, 2_250) // nine of a second each, four at a time
    await claim()
    assert.equal((await refused(result(ids[0]!), 'JOB_NOT_FINISHED', /running/)).retryAfterMs, 1_000)
  })

  test('is waited for', async () => {
    const { submit, claim, finish, store, result, held } = setup()
    const id = await submit()
    const answer = result(id, { headers: { prefer: 'wait=20' } })
    await held()
    const job = await claim()
    await finish({ how: 'succeeded', result: encodeStored(await store(TEXT, job)) }, job)
    const got = await answer
    assert.ok(got.body.equals(TEXT))
    assert.equal(got.headers['preference-applied'], 'wait=20')
  })

  test('that did not come in time is not there yet, and the preference was applied', async () => {
    const { submit, result, held, clock } = setup()
    const answer = refused(result(await submit(), { headers: { prefer: 'wait=3' } }), 'JOB_NOT_FINISHED')
    await held()
    await clock.advance(3_000)
    assert.deepEqual((await answer).headers, ['preference-applied', 'wait=3'])
  })

  test('of a cancelled job will never be there', async () => {
    const { submit, walk, result } = setup()
    const id = await submit()
    await walk(`/_sluice/jobs/${id}`, { method: 'DELETE' })
    assert.equal((await refused(result(id), 'JOB_NOT_FINISHED', /cancelled/)).retryAfterMs, undefined)
  })

  test('of an expired job is why it never ran', async () => {
    const { submit, result, scheduler, clock } = setup()
    const id = await submit()
    await clock.advance(30_000)
    await scheduler.tick(NO_WISH)
    await refused(result(id), 'QUEUE_TIMEOUT')
  })

  test('of a job whose workers were all lost is JOB_POISONED', async () => {
    const { submit, claim, result, scheduler, clock } = setup()
    const id = await submit()
    for (let n = 0; n < 3; n++) {
      await claim()
      await clock.advance(14_000)
      await scheduler.tick(NO_WISH)
    }
    await refused(result(id), 'JOB_POISONED')
  })

  for (const [error, code, detail] of [
    ['{"code":"DEADLINE_EXCEEDED","detail":"within 5m"}', 'DEADLINE_EXCEEDED', /within 5m/],
    ['{"code":"OF_TOMORROW"}', 'INTERNAL', /OF_TOMORROW/],
    ['?', 'INTERNAL', undefined],
  ] as const) {
    test(`of a job that failed with ${error} is ${code}`, async () => {
      const { submit, claim, finish, result } = setup()
      const id = await submit()
      await finish({ how: 'failed', error, result: null }, await claim())
      await refused(result(id), code, detail)
    })
  }

  test('of a job that the upstream refused is what the upstream said', async () => {
    const { submit, claim, finish, store, result } = setup()
    const id = await submit()
    const job = await claim()
    const stored = await store(Buffer.from('no such column'), job, { status: 422 })
    await finish(
      { how: 'failed', error: '{"code":"UPSTREAM_INVALID","status":422}', result: encodeStored(stored) },
      job,
    )
    const got = await result(id)
    assert.equal(got.status, 422)
    assert.equal(got.body.toString(), 'no such column')
  })

  test('that was dropped, has expired, lies where nobody looks or cannot be read is RESULT_EXPIRED', async () => {
    for (const lose of [
      async ({ scheduler }: JobHouse, id: string) => void (await scheduler.dropResult('acme', id)),
      async ({ clock }: JobHouse) => clock.advance(3_600_000),
      async ({ dir }: JobHouse) => rmSync(join(dir, 'results'), { recursive: true }),
      async ({ scheduler }: JobHouse) =>
        void Object.assign(scheduler, { result: async () => Buffer.from('of tomorrow') }),
    ]) {
      const home = setup()
      const { id } = await home.succeed(randomBytes(20_000))
      await lose(home, id)
      await refused(home.result(id), 'RESULT_EXPIRED')
    }
  })

  test('that is found short as it is read is refused there', async () => {
    const { succeed, walk, dir } = setup()
    const { id } = await succeed(randomBytes(20_000))
    const delivery = await walk(`/_sluice/jobs/${id}/result`)
    const [file] = readdirSync(join(dir, 'results'))
    truncateSync(join(dir, 'results', file!), 19_999)
    await refused(received(delivery), 'RESULT_EXPIRED')
  })
})

describe('a cancellation', () => {
  const setupCancel = () => {
    const home = setup()
    const cancel = async (id: string) => told(await home.walk(`/_sluice/jobs/${id}`, { method: 'DELETE' }))
    const counted = async () => {
      const { values } = await home.house.metrics.jobs.get()
      return values.find(({ labels }) => labels.status === 'cancelled')?.value ?? 0
    }
    return { ...home, cancel, counted }
  }

  test('of a queued job lets it never run, and may be repeated', async () => {
    const { submit, cancel, counted, claim } = setupCancel()
    const id = await submit()
    const { status, document } = await cancel(id)
    assert.equal(status, 200)
    assert.equal(document.status, 'cancelled')
    assert.equal(document.error, null)
    assert.deepEqual((await cancel(id)).document, document)
    assert.equal(await claim(), undefined)
    assert.equal(await counted(), 1)
  })

  test('of a running job stops its worker, whose result is not heard', async () => {
    const { submit, claim, cancel, scheduler, finish, counted } = setupCancel()
    const pushed: unknown[] = []
    scheduler.onPush((push) => pushed.push(push))
    const id = await submit()
    const job = await claim()
    assert.equal((await cancel(id)).document.status, 'cancelled')
    assert.deepEqual(pushed.at(-1), { kind: 'stop', job: id })
    assert.equal((await finish({ how: 'succeeded', result: Buffer.from('late') }, job)).kept, false)
    assert.equal(await counted(), 1)
  })

  test('of a job that has ended changes nothing', async () => {
    const { succeed, submit, claim, finish, cancel, counted, scheduler, clock } = setupCancel()
    const { id } = await succeed(Buffer.from('rows'))
    assert.equal((await cancel(id)).document.status, 'succeeded')
    const failed = await submit()
    await finish({ how: 'failed', error: '{"code":"INTERNAL"}', result: null }, await claim())
    assert.equal((await cancel(failed)).document.status, 'failed')
    const expired = await submit()
    await clock.advance(30_000)
    await scheduler.tick(NO_WISH)
    assert.equal((await cancel(expired)).document.status, 'expired')
    assert.equal(await counted(), 0)
  })

  test('of a job that ends between two looks tells how it ended', async () => {
    const { submit, claim, finish, cancel, scheduler } = setupCancel()
    const id = await submit()
    const job = await claim()
    const cancelReally = scheduler.cancel.bind(scheduler)
    scheduler.cancel = async (...args) => {
      await finish({ how: 'succeeded', result: Buffer.from('rows') }, job)
      return cancelReally(...args)
    }
    assert.equal((await cancel(id)).document.status, 'succeeded')
  })
})

describe('the list of jobs', () => {
  const setupList = () => {
    const home = setup()
    const list = async (query = '', as = 'acme ana') => {
      const { document } = await home.ask(`/_sluice/jobs?${query}`, { as })
      return document as unknown as { jobs: JobDocument[]; nextCursor: string | null }
    }
    const submitMany = async (count: number) => {
      const ids: string[] = []
      for (let n = 0; n < count; n++) ids.push(await home.submit())
      return ids
    }
    return { ...home, list, submitMany }
  }

  test('has the caller’s own, the newest first', async () => {
    const { submit, submitMany, list, show } = setupList()
    await submit('acme bob')
    await submit('acme')
    await submit('globex ana')
    const ids = await submitMany(3)
    const { jobs: listed, nextCursor } = await list()
    assert.deepEqual(
      listed.map(({ id }) => id),
      ids.toReversed(),
    )
    assert.deepEqual(listed[0], (await show(ids[2]!)).document)
    assert.equal(nextCursor, null)
    assert.equal((await list('', 'acme')).jobs.length, 1)
    assert.deepEqual(await list('', 'acme carl'), { jobs: [], nextCursor: null })
  })

  test('comes in pages that miss none and repeat none', async () => {
    const { submitMany, list } = setupList()
    const ids = await submitMany(7)
    const seen: string[] = []
    const sizes: number[] = []
    let cursor = ''
    do {
      const { jobs: listed, nextCursor } = await list(`limit=3&cursor=${cursor}`)
      seen.push(...listed.map(({ id }) => id))
      sizes.push(listed.length)
      cursor = nextCursor ?? ''
    } while (cursor !== '')
    assert.deepEqual(seen, ids.toReversed())
    assert.deepEqual(sizes, [3, 3, 1])
  })

  test('ends with a full page when that has all', async () => {
    const { submitMany, list } = setupList()
    await submitMany(3)
    assert.equal((await list('limit=3')).nextCursor, null)
  })

  test('has twenty a page, unless it is asked for up to a hundred', async () => {
    const { submitMany, list } = setupList()
    await submitMany(100)
    assert.equal((await list()).jobs.length, 20)
    assert.equal((await list('limit=&status=&cursor=')).jobs.length, 20)
    assert.equal((await list('limit=100')).jobs.length, 100)
  })

  test('has those of one status, where that is asked for', async () => {
    const { submitMany, claim, list } = setupList()
    const ids = await submitMany(3)
    await claim()
    assert.deepEqual(
      (await list('status=running')).jobs.map(({ id }) => id),
      [ids[0]],
    )
    assert.deepEqual(
      (await list('status=queued&limit=1')).jobs.map(({ id }) => id),
      [ids[2]],
    )
    assert.deepEqual((await list('status=expired')).jobs, [])
  })

  for (const [query, allowed] of [
    ['limit=0', /from 1 to 100/],
    ['limit=101', /from 1 to 100/],
    ['limit=-1', /from 1 to 100/],
    ['limit=ten', /from 1 to 100/],
    ['limit=1.5', /from 1 to 100/],
    ['status=done', /queued, running, succeeded, failed, cancelled, expired/],
    ['cursor=!', /nextCursor/],
    [`cursor=${Buffer.from('job_1').toString('base64url')}`, /nextCursor/],
    [`cursor=${Buffer.from(`job_${'0'.repeat(26)} `).toString('base64url')}`, /nextCursor/],
  ] as const) {
    test(`refuses ${query}, and says what is allowed`, async () => {
      await refused(setupList().list(query), 'REQUEST_INVALID', allowed)
    })
  }
})
