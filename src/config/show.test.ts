import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parse } from 'yaml'
import { configOf, SECRET } from './fixture.ts'
import type { Route } from './schema.ts'
import { showConfig } from './show.ts'

const config = configOf(`admin: { token: admin-password }
workers: { maxMemory: 512MiB }
store: { kind: redis, url: "redis://user:redis-password@h:6379/0", lock: { urls: ["redis://:lock-password@h2"] } }
upstreams: { main: { urls: ["http://h"], credentials: { header: Authorization, value: service-password } } }
routes:
  - { name: a, match: { path: /a }, mode: cache }
  - { name: b, match: { path: /b }, mode: deny }
  - { name: c, match: { path: /c }, mode: queue }
tenants: { list: { acme: { maxExecutionTime: 90s, cache: { maxBytes: 1536KiB } } } }`)

describe('the shown config', () => {
  test('has no secret in it', () => {
    const text = showConfig(config)
    for (const secret of [SECRET, 'admin-password', 'redis-password', 'lock-password', 'service-password']) {
      assert.equal(text.includes(secret), false, secret)
    }
    assert.match(text, /url: redis:\/\/user:\*\*\*@h:6379\/0/)
  })

  test('hides every key that credentials are sealed with', () => {
    const queued = (name: string, keys: string) =>
      `{ name: ${name}, match: { path: /${name} }, mode: queue, submit: { credentialKey: ${keys} } }`
    const text = showConfig(configOf(`routes: [${queued('a', SECRET)}, ${queued('b', `[${SECRET}-1, ${SECRET}-2]`)}]`))
    assert.equal(text.includes(SECRET), false)
    assert.deepEqual(
      parse(text).routes.map((route: Route) => route.submit!.credentialKey),
      [['***'], ['***', '***']],
    )
  })

  test('has units again, and every default', () => {
    const shown = parse(showConfig(config))
    assert.equal(shown.server.drainTimeout, '30s')
    assert.equal(shown.server.bodyLimit, '1MiB')
    assert.equal(shown.store.near.maxAge, '5s')
    assert.equal(shown.routes[0].cache.staleIfError, '10m')
    assert.equal(shown.routes[0].upstream, 'main')
    assert.equal(shown.routes[0].cache.jitter, 0.1)
    assert.deepEqual(shown.routes[2].submit, { resultTtl: '1h', durability: 'applied' })
    assert.deepEqual(shown.workers, { concurrency: 16, maxJobsPerProcess: 0, maxMemory: '512MiB' })
    assert.equal(parse(showConfig(configOf())).workers.maxMemory, 0)
    assert.deepEqual(shown.tenants.list.acme, { maxExecutionTime: '90s', cache: { maxBytes: '1536KiB' } })
  })

  test('is a config itself, but for its secrets', () => {
    const file = showConfig(config)
      .replace("'***'", SECRET)
      .replaceAll('***', 'p')
      .replace(/secret: .*/, `secret: ${SECRET}`)
    assert.deepEqual(configOf(file).routes, config.routes)
    assert.deepEqual(configOf(file).tenants, config.tenants)
  })
})
