import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startOrigin } from '../../test/support/origin.ts'
import { ManualClock } from '../kernel/clock.manual.ts'
import { deadUrl, OPTIONS, open, refusal, text, until } from './upstream.setup.test.ts'

describe('several URLs', () => {
  const held = () => startOrigin(() => {})

  test('the least busy is asked', async () => {
    await using a = await held()
    await using b = await held()
    await using main = open([a.url, b.url])
    const leaving = new AbortController()
    const asks = Array.from({ length: 6 }, () => main.ask({ signal: leaving.signal }).catch(() => {}))
    await Promise.all([a.arrived(3), b.arrived(3)])
    assert.deepEqual([a.seen.length, b.seen.length], [3, 3])
    leaving.abort()
    await Promise.all(asks)
  })

  test('passthrough counts as busy', async () => {
    await using a = await held()
    await using b = await held()
    await using main = open([a.url, b.url])
    const guards = [main.upstream.guard('acme'), main.upstream.guard('acme')]
    assert.deepEqual(new Set(guards.map(({ url }) => url.port)), new Set([`${a.port}`, `${b.port}`]))
    guards[0]!.end({ status: 200, failure: 'none', untouched: false })
    assert.equal(main.upstream.pick().port, guards[0]!.url.port)
  })

  test('one that refuses connections is passed over, for a while', async () => {
    const clock = new ManualClock()
    const dead = await deadUrl()
    await using alive = await startOrigin()
    await using main = open([dead, alive.url], { retries: { ...OPTIONS.retries, attempts: 2, baseDelayMs: 0 } }, clock)
    const healthy = () => main.upstream.state().urls.map((url) => url.healthy)
    const asked = main.ask()
    const waiting = until(() => main.events.some(({ kind }) => kind === 'retry')).then(() => clock.advance(1))
    assert.equal(await text(await asked), '{"rows":[]}')
    await waiting
    assert.deepEqual(healthy(), [false, true])
    for (let i = 0; i < 3; i++) assert.equal((await main.ask()).status, 200)
    await clock.advance(5_000)
    assert.deepEqual(healthy(), [true, true])
  })

  test('if all are unhealthy they are tried anyway', async () => {
    const url = await deadUrl()
    await using main = open([url])
    await assert.rejects(main.ask(), refusal('UPSTREAM_UNREACHABLE'))
    assert.equal(main.upstream.state().urls[0]!.healthy, false)
    await assert.rejects(main.ask(), refusal('UPSTREAM_UNREACHABLE'))
  })

  test('two failed checks take one out and one passed check brings it back', async () => {
    let status = 500
    await using origin = await startOrigin((_req, res) => void res.writeHead(status).end())
    const clock = new ManualClock()
    await using main = open([origin.url], { healthCheck: { path: '/health', intervalMs: 1_000 } }, clock)
    const check = async (count: number) => {
      await until(() => clock.sleeping > 0)
      await clock.advance(1_000)
      await origin.arrived(count)
      await until(() => clock.sleeping > 0)
      return main.upstream.state().urls[0]!.healthy
    }
    assert.equal(await check(1), true)
    assert.equal(await check(2), false)
    status = 200
    assert.equal(await check(3), true)
    assert.deepEqual(
      origin.seen.map(({ url }) => url),
      ['/health', '/health', '/health'],
    )
    assert.deepEqual(
      main.events.map((event) => event.kind === 'health' && [event.healthy, event.by]),
      [
        [false, 'check'],
        [true, 'check'],
      ],
    )
  })
})
