import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { ask, query, tokenFor } from '../support/client.ts'
import { configFor, queryRoute } from '../support/config.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { type Origin, startOrigin } from '../support/origin.ts'

describe('a changed config', () => {
  let origin: Origin
  let gateway: TestGateway
  let token: string
  before(async () => {
    origin = await startOrigin()
    gateway = await startGateway(configFor(origin.url))
    token = await tokenFor('acme')
  })
  after(async () => {
    await (gateway as TestGateway | undefined)?.[Symbol.asyncDispose]()
    await origin[Symbol.asyncDispose]()
  })

  /** Writes the file and waits for the log line that says what became of it. */
  const change = async (yaml: string, says: string) => {
    const linesBefore = gateway.lines.length
    writeFileSync(gateway.configFile, yaml)
    return gateway.logged((line) => gateway.lines.indexOf(line) >= linesBefore && String(line.msg).includes(says))
  }

  test('is taken over when the file changes, without dropping a request that runs', async () => {
    const { promise: mayAnswer, resolve: answer } = Promise.withResolvers<void>()
    origin.answer(async (_req, res) => {
      await mayAnswer
      res.end('slow')
    })
    const running = query(gateway.url, token, { dataset: 'running' })
    await origin.arrived(1)
    await change(
      configFor(origin.url, { routes: [{ name: 'query', match: { path: '/api/query' }, mode: 'deny' }] }),
      'config reloaded',
    )
    assert.equal((await query(gateway.url, token, { dataset: 'new' })).status, 403)
    answer()
    assert.equal((await running).body, 'slow')
    await change(configFor(origin.url), 'config reloaded')
  })

  test('keeps what is cached, and changes a tenant’s limits at once', async () => {
    origin.answer((_req, res) => res.end('kept'))
    await query(gateway.url, token, { dataset: 'kept' })
    const tenants = { default: { requestsPerMinute: 0 }, list: { acme: { requestsPerMinute: 1, burst: 1 } } }
    await change(configFor(origin.url, { tenants }), 'config reloaded')
    assert.match((await query(gateway.url, token, { dataset: 'kept' })).cache, /^hit/)
    assert.equal((await query(gateway.url, token, { dataset: 'one' })).status, 200)
    assert.equal((await query(gateway.url, token, { dataset: 'two' })).status, 429)
    await change(configFor(origin.url), 'config reloaded')
  })

  test('that is not valid changes nothing, and says where it is wrong', async () => {
    const line = await change(configFor(origin.url).replace('mode: cache', 'mode: cahce'), 'not valid')
    assert.match(JSON.stringify(line), /sluice\.yaml:\d+:\d+ routes\[0\]\.mode/)
    assert.match(JSON.stringify(line), /cache/)
    assert.equal((await query(gateway.url, token, { dataset: 'still' })).status, 200)
    await change(configFor(origin.url, { telemetry: { logLevel: 'debug' } }), 'config reloaded')
  })

  test('that needs a restart names the settings', async () => {
    const line = await change(configFor(origin.url, { server: { port: 12_345 } }), 'only with a restart')
    assert.deepEqual(line.needRestart, ['server.port'])
    assert.equal((await ask(gateway.url, { path: '/_sluice/health/live' })).status, 200)
    await change(configFor(origin.url), 'config reloaded')
  })

  test('is looked at again on SIGHUP', async () => {
    const linesBefore = gateway.lines.length
    gateway.signal('SIGHUP')
    await gateway.logged((line) => gateway.lines.indexOf(line) >= linesBefore && line.msg === 'config reloaded')
  })

  test('moves an upstream: new requests go to the new one, what ran at the old one is answered', async () => {
    await using other = await startOrigin((_req, res) => res.end('other'))
    const { promise: mayAnswer, resolve: answer } = Promise.withResolvers<void>()
    origin.answer(async (_req, res) => {
      await mayAnswer
      res.end('old')
    })
    const seenBefore = origin.seen.length
    const running = query(gateway.url, token, { dataset: 'moving' })
    await origin.arrived(seenBefore + 1)
    await change(configFor(other.url, { routes: [queryRoute({ varyHeaders: ['x-new'] })] }), 'config reloaded')
    assert.equal((await query(gateway.url, token, { dataset: 'moved' })).body, 'other')
    answer()
    assert.equal((await running).body, 'old')
    await change(configFor(origin.url), 'config reloaded')
  })
})

describe('SIGTERM', () => {
  test('lets what runs finish, refuses what comes, and ends with 0', async () => {
    const { promise: mayAnswer, resolve: answer } = Promise.withResolvers<void>()
    await using origin = await startOrigin(async (_req, res) => {
      await mayAnswer
      res.end('finished')
    })
    await using gateway = await startGateway(configFor(origin.url))
    const running = query(gateway.url, await tokenFor('acme'), { dataset: 'x' })
    await origin.arrived(1)
    const stopped = gateway.stop()
    await assert.rejects(untilRefused(gateway.url))
    answer()
    assert.equal((await running).body, 'finished')
    assert.equal(await stopped, 0)
  })
})

/** Asks until the door is shut. */
async function untilRefused(url: string): Promise<never> {
  for (;;) await ask(url, { path: '/_sluice/health/live' })
}
