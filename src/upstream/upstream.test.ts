import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startOrigin } from '../../test/support/origin.ts'
import { ManualClock } from '../kernel/clock.manual.ts'
import type { Refusal } from '../kernel/errors.ts'
import { deadUrl, OPTIONS, open, refusal, text, until } from './upstream.setup.test.ts'

describe('retries', () => {
  const retries = { ...OPTIONS.retries, attempts: 3, baseDelayMs: 0 }
  const failing = (failures: number, how: 'reset' | '503' = 'reset') => {
    let count = 0
    return startOrigin((req, res) => {
      if (++count > failures) res.end('done')
      else if (how === 'reset') req.socket.destroy()
      else res.writeHead(503, { 'retry-after': '1' }).end()
    })
  }

  test('repeat what may be repeated after a reset', async () => {
    await using origin = await failing(2)
    await using main = open([origin.url], { retries, breaker: { ...OPTIONS.breaker, volumeThreshold: 100 } })
    assert.equal(await text(await main.ask({ idempotent: true })), 'done')
    assert.equal(origin.seen.length, 3)
  })

  test('never repeat what may be running', async () => {
    await using origin = await failing(1)
    await using main = open([origin.url], { retries })
    await assert.rejects(main.ask(), refusal('UPSTREAM_INVALID'))
    assert.equal(origin.seen.length, 1)
  })

  test('end with the last answer, which is passed on as it is', async () => {
    await using origin = await startOrigin((_req, res) => void res.writeHead(503).end('sorry'))
    await using main = open([origin.url], { retries, breaker: { ...OPTIONS.breaker, volumeThreshold: 100 } })
    const reply = await main.ask({ idempotent: true })
    assert.deepEqual([reply.status, await text(reply), origin.seen.length], [503, 'sorry', 3])
  })

  test('do not follow 4xx or 500 answers', async () => {
    for (const status of [400, 404, 429, 500]) {
      await using origin = await startOrigin((_req, res) => void res.writeHead(status).end())
      await using main = open([origin.url], { retries })
      assert.equal((await main.ask({ idempotent: true })).status, status)
      assert.equal(origin.seen.length, 1)
    }
  })

  test('wait as long as Retry-After says', async () => {
    await using origin = await failing(1, '503')
    const clock = new ManualClock()
    await using main = open([origin.url], { retries }, clock)
    const asked = main.ask({ idempotent: true })
    await until(() => main.events.some(({ kind }) => kind === 'retry'))
    await clock.advance(999)
    assert.equal(origin.seen.length, 1)
    await clock.advance(1)
    assert.equal(await text(await asked), 'done')
  })

  test('are not made when Retry-After is longer than the longest wait; the reply says how long', async () => {
    await using origin = await startOrigin((_req, res) => void res.writeHead(503, { 'retry-after': '60' }).end())
    await using main = open([origin.url], { retries })
    const reply = await main.ask({ idempotent: true })
    assert.deepEqual([reply.status, reply.retryAfterMs, origin.seen.length], [503, 60_000, 1])
    assert.ok(main.upstream.state().waitUntilAt! > Date.now() + 50_000)
  })

  test('end at once when the caller leaves during the wait', async () => {
    await using origin = await failing(1, '503')
    const clock = new ManualClock()
    await using main = open([origin.url], { retries }, clock)
    const leaving = new AbortController()
    const asked = main.ask({ idempotent: true, signal: leaving.signal })
    await until(() => main.events.some(({ kind }) => kind === 'retry'))
    leaving.abort(new Error('left'))
    await assert.rejects(asked, /left/)
    await clock.advance(10_000)
    assert.equal(origin.seen.length, 1)
  })

  test('keep to their budget', async () => {
    await using origin = await startOrigin((_req, res) => void res.writeHead(503).end())
    await using main = open([origin.url], {
      retries: { ...retries, attempts: 2 },
      breaker: { ...OPTIONS.breaker, volumeThreshold: 1_000 },
    })
    for (let i = 0; i < 50; i++) await text(await main.ask({ idempotent: true }))
    assert.equal(origin.seen.length, 60)
    assert.ok(main.events.some(({ kind }) => kind === 'retry-budget-empty'))
  })
})

describe('the breaker', () => {
  const sick = () => startOrigin((_req, res) => void res.writeHead(503).end())
  const askMany = async (main: ReturnType<typeof open>, tenants: string[]) => {
    for (const tenant of tenants) await text(await main.ask({ tenant }))
  }

  test('opens when several tenants fail, and refuses with the time to wait', async () => {
    await using origin = await sick()
    await using main = open([origin.url], {}, new ManualClock())
    await askMany(main, ['a', 'b', 'a', 'b'])
    assert.equal(main.upstream.state().breaker, 'open')
    await assert.rejects(
      main.ask({ tenant: 'c' }),
      (error) => refusal('BREAKER_OPEN')(error) && (error as Refusal).retryAfterMs === 1_000,
    )
    assert.equal(origin.seen.length, 4)
  })

  test('stays closed when one of several tenants fails', async () => {
    await using origin = await startOrigin((req, res) => void res.writeHead(req.body === 'poison' ? 504 : 200).end())
    await using main = open([origin.url])
    await askMany(main, ['b'])
    for (let i = 0; i < 20; i++) await text(await main.ask({ tenant: 'a', body: Buffer.from('poison') }))
    assert.equal(main.upstream.state().breaker, 'closed')
  })

  test('counts neither 4xx, 500, 429, nor clients that leave', async () => {
    const statuses = [400, 403, 404, 429, 500]
    await using origin = await startOrigin(
      (_req, res) => void (origin.seen.length > 5 || res.writeHead(statuses[origin.seen.length - 1]!).end()),
    )
    await using main = open([origin.url])
    await askMany(main, ['a', 'b', 'a', 'b', 'a'])
    const leaving = new AbortController()
    const asks = ['a', 'b', 'a', 'b', 'a', 'b', 'a'].map((tenant) =>
      main.ask({ tenant, signal: leaving.signal }).catch(() => {}),
    )
    await origin.arrived(12)
    leaving.abort()
    await Promise.all(asks)
    assert.equal(main.upstream.state().breaker, 'closed')
  })

  test('closes by the head of a probe, however long its body takes', async () => {
    await using origin = await sick()
    const clock = new ManualClock()
    await using main = open([origin.url], {}, clock)
    await askMany(main, ['a', 'b', 'a', 'b'])
    await clock.advance(1_000)
    origin.answer((_req, res) => void res.write('slow'))
    const reply = await main.ask({ tenant: 'c' })
    assert.equal(main.upstream.state().breaker, 'closed')
    reply.body.destroy()
  })

  test('hears of passthrough too, and can be moved by hand', async () => {
    await using main = open([await deadUrl()])
    for (const tenant of ['a', 'b', 'a', 'b'])
      main.upstream.guard(tenant).end({ status: null, failure: 'unreachable', untouched: true })
    assert.throws(() => main.upstream.guard('c'), refusal('BREAKER_OPEN'))
    main.upstream.setBreaker('closed')
    main.upstream.guard('c').end({ status: 200, failure: 'none', untouched: false })
  })

  test('opening between two attempts ends the ask with what it has', async () => {
    await using origin = await sick()
    await using main = open([origin.url], {
      breaker: { ...OPTIONS.breaker, volumeThreshold: 1 },
      retries: { ...OPTIONS.retries, attempts: 3, baseDelayMs: 0 },
    })
    const reply = await main.ask({ idempotent: true })
    assert.equal(reply.status, 503)
    assert.equal(origin.seen.length, 1)
  })
})

test('closing lets what runs come to its end', async () => {
  let finish = () => {}
  await using origin = await startOrigin((_req, res) => {
    res.write('a')
    finish = () => void res.end('b')
  })
  const { upstream, ask } = open([origin.url])
  const reply = await ask()
  const closing = upstream.close()
  finish()
  assert.equal(await text(reply), 'ab')
  await closing
  await upstream.close()
})
