import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startOrigin } from '../../test/support/origin.ts'
import { ManualClock } from '../kernel/clock.manual.ts'
import { open, refusal, text, until } from './upstream.setup.test.ts'

describe('the deadline', () => {
  test('ends an ask without an answer, and its connection', async () => {
    await using origin = await startOrigin(() => {})
    const clock = new ManualClock()
    await using main = open([origin.url], {}, clock)
    const asked = assert.rejects(main.ask(), refusal('DEADLINE_EXCEEDED'))
    await origin.arrived(1)
    await clock.advance(3_000)
    await asked
    await until(() => origin.aborted === 1)
  })

  test('covers the body too', async () => {
    await using origin = await startOrigin((_req, res) => void res.write('half'))
    const clock = new ManualClock()
    await using main = open([origin.url], {}, clock)
    const reading = assert.rejects(text(await main.ask()), refusal('DEADLINE_EXCEEDED'))
    await clock.advance(3_000)
    await reading
    await until(() => origin.aborted === 1)
  })

  test('of the upstream counts as its failure, a shorter one of the tenant does not', async () => {
    await using origin = await startOrigin(() => {})
    const clock = new ManualClock()
    await using main = open([origin.url], {}, clock)
    const both = [main.ask({ timeoutMs: 1_000 }), main.ask()].map((asked) => asked.catch(() => {}))
    await origin.arrived(2)
    await clock.advance(1_000)
    await clock.advance(2_000)
    await Promise.all(both)
    assert.deepEqual(
      main.events.map((event) => event.kind === 'attempt' && event.verdict),
      ['unknown', 'sick'],
    )
  })

  test('holds in the line for a connection as well', async () => {
    await using origin = await startOrigin(() => {})
    const clock = new ManualClock()
    await using main = open([origin.url], { maxConnections: 1 }, clock)
    const first = main.ask().catch(() => {})
    const second = assert.rejects(main.ask({ timeoutMs: 500 }), refusal('DEADLINE_EXCEEDED'))
    await origin.arrived(1)
    await clock.advance(500)
    await second
    await clock.advance(2_500)
    await first
    assert.equal(origin.seen.length, 1)
  })
})

describe('an abort', () => {
  test('before the answer rejects with its reason and closes the connection upstream', async () => {
    await using origin = await startOrigin(() => {})
    await using main = open([origin.url])
    const leaving = new AbortController()
    const asked = main.ask({ signal: leaving.signal })
    await origin.arrived(1)
    leaving.abort(new Error('all have left'))
    await assert.rejects(asked, /all have left/)
    await until(() => origin.aborted === 1)
  })

  test('in the body breaks it with its reason and closes the connection upstream', async () => {
    await using origin = await startOrigin((_req, res) => void res.write('half'))
    await using main = open([origin.url])
    const leaving = new AbortController()
    const reading = text(await main.ask({ signal: leaving.signal }))
    leaving.abort(new Error('all have left'))
    await assert.rejects(reading, /all have left/)
    await until(() => origin.aborted === 1)
  })

  test('in the line for a connection gives the place back at once', async () => {
    await using origin = await startOrigin(() => {})
    await using main = open([origin.url], { maxConnections: 1 })
    const [holder, leaver] = [new AbortController(), new AbortController()]
    const first = main.ask({ signal: holder.signal }).catch(() => {})
    const second = main.ask({ signal: leaver.signal })
    leaver.abort(new Error('left the line'))
    await assert.rejects(second, /left the line/)
    assert.equal(main.upstream.state().urls[0]!.busy, 1)
    holder.abort(new Error('done'))
    await first
    assert.equal(main.upstream.state().urls[0]!.busy, 0)
  })

  test('after the end changes nothing', async () => {
    await using origin = await startOrigin()
    await using main = open([origin.url])
    const late = new AbortController()
    const reply = await main.ask({ signal: late.signal })
    assert.equal(await text(reply), '{"rows":[]}')
    late.abort(new Error('too late'))
    assert.equal(await text(await main.ask()), '{"rows":[]}')
  })

  test('dropping a body half read closes the connection upstream', async () => {
    await using origin = await startOrigin((_req, res) => void res.write('half'))
    await using main = open([origin.url])
    const reply = await main.ask()
    for await (const _ of reply.body) break
    await until(() => origin.aborted === 1)
  })
})
