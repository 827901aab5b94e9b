import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { ConfigInvalid } from './faults.ts'
import { configOf, configText, SECRET, told } from './fixture.ts'
import { loadConfig, parseConfig } from './load.ts'
import { DEFAULT_SUBMIT } from './submit.ts'

describe('a file', () => {
  test('is told every fault at once, across sections, in its own order', () => {
    const found = told(`
server: { prot: 80, processes: 2 }
upstreams:
  main: { urls: ["ftp://x"] }
  other: { urls: ["http://a"], timeout: 5 }
routes:
  - { name: a, match: { path: /a }, mode: cahe }
  - { name: b, match: { path: /b }, mode: proxy, upstream: othr }
  - { name: b, match: { path: /c }, mode: deny }
tenants: { list: { acme: { plan: gold } } }`)
    assert.deepEqual(found, [
      '2:11 server.prot: is not a setting; did you mean "port"?',
      '2:32 server.processes: needs a store that processes can share',
      '4:18 upstreams.main.urls[0]: does not have the right form',
      '5:41 upstreams.other.timeout: is a number without a unit',
      '7:43 routes[0].mode: "cahe" is not known; did you mean "cache"?',
      '8:60 routes[1].upstream: is not the name of an upstream; did you mean "other"?',
      '9:13 routes[2].name: is the name of an earlier route',
      '10:34 tenants.list.acme.plan: is not the name of a plan',
    ])
  })

  test('with a misspelt key is not told of what only follows from it', () => {
    const text =
      'auth: { issuers: [{ name: a, algorithms: [HS256], scret: x, tenant: { claim: t } }] }\n' +
      'upstreams: { main: { url: ["http://a"] } }\n' +
      'routes: [{ name: a, match: { path: /a }, mode: proxy, upstream: main }]'
    assert.deepEqual(told(text), [
      '1:51 auth.issuers[0].scret: is not a setting; did you mean "secret"?',
      '2:14 upstreams.main.urls: is missing',
      '2:22 upstreams.main.url: is not a setting; did you mean "urls"?',
    ])
  })

  for (const [text, expected] of [
    ['', /upstreams: names no upstream.*\n.*auth\.issuers: is empty/],
    ['- a', /^test\.yaml:1:1 is a list \(a section of server, /],
    ['42', /^test\.yaml:1:1 is a number \(/],
  ] as const) {
    test(`that holds '${text}' is told what it needs`, () => {
      assert.throws(() => parseConfig(text, { file: 'test.yaml', env: {} }), {
        name: 'ConfigInvalid',
        message: expected,
      })
    })
  }

  test('that grows without end through aliases is refused', () => {
    const bomb = ['a: &a [x, x, x, x, x, x, x, x, x, x]']
    for (const [from, to] of ['ab', 'bc', 'cd', 'de', 'ef', 'fg', 'gh'].map((pair) => [...pair])) {
      bomb.push(`${to}: &${to} [${Array(10).fill(`*${from}`).join(', ')}]`)
    }
    assert.match(told(bomb.join('\n')).join('\n'), /is too large or nested too deeply/)
  })

  test('that contains itself is refused', () => {
    assert.match(told('tenants: &t { list: *t }').join('\n'), /is too large or nested too deeply/)
  })

  test('that cannot be read is a fault, not a crash', () => {
    assert.throws(
      () => loadConfig('/nowhere/sluice.yaml', {}),
      (error) => {
        assert.ok(error instanceof ConfigInvalid)
        assert.equal(error.message, '/nowhere/sluice.yaml:1:1 cannot be read: ENOENT')
        return true
      },
    )
  })

  test('names a key file relative to itself', () => {
    const directory = mkdtempSync(join(tmpdir(), 'sluice-config-'))
    const file = join(directory, 'sluice.yaml')
    const auth = 'auth: { issuers: [{ name: a, algorithms: [EdDSA], publicKeyFile: a.pem, tenant: { claim: t } }] }'
    writeFileSync(file, configText(auth))
    assert.throws(() => loadConfig(file, {}), /:1:66 auth\.issuers\[0\]\.publicKeyFile: cannot be read: ENOENT/)
    writeFileSync(join(directory, 'a.pem'), ED25519)
    assert.equal(loadConfig(file, {}).auth.issuers[0]!.publicKeyFile, join(directory, 'a.pem'))
    writeFileSync(join(directory, 'a.pem'), 'no key')
    assert.throws(() => loadConfig(file, {}), /publicKeyFile: holds no public key/)
  })
})

const ED25519 = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
`

const STRIPPED = 'upstreams: { main: { urls: ["http://h"], credentials: strip } }'

describe('a config', () => {
  test('has every default filled in, in milliseconds and bytes', () => {
    const config = configOf()
    assert.equal(config.server.drainTimeout, 30_000)
    assert.equal(config.server.bodyLimit, 1024 ** 2)
    assert.deepEqual(config.store, {
      kind: 'embedded',
      maxBytes: 512 * 1024 ** 2,
      near: { maxBytes: 128 * 1024 ** 2, maxAge: 5_000 },
      dir: './data',
      synchronous: 'full',
    })
    assert.deepEqual(config.auth.issuers[0]!.principal, { claim: 'sub' })
    assert.equal(config.upstreams.main!.healthCheck, null)
    assert.equal(config.upstreams.main!.retries.budget, 0.1)
    assert.equal(config.upstreams.main!.maxConcurrentQueries, 32)
    assert.deepEqual(config.workers, { concurrency: 16, maxJobsPerProcess: 0, maxMemory: 0 })
    assert.deepEqual(config.results, { spillAbove: 256 * 1024, kind: 'filesystem' })
  })

  test('is frozen through and through', () => {
    const config = configOf('routes: [{ name: a, match: { path: /a }, mode: cache }]')
    assert.throws(() => Object.assign(config.server, { port: 1 }), TypeError)
    assert.throws(() => config.routes[0]!.cache!.tags.push('x'), TypeError)
    assert.throws(() => Object.assign(config.upstreams, { other: {} }), TypeError)
  })

  test('settles what a route leaves to the rest of the file', () => {
    const [cached, proxied, denied] = configOf(`routes:
  - { name: a, match: { path: /a }, mode: cache }
  - { name: b, match: { path: /b, method: GET }, mode: proxy, auth: none }
  - { name: c, match: { path: /c }, mode: deny }`).routes
    assert.equal(cached!.upstream, 'main')
    assert.equal(cached!.auth, 'required')
    assert.deepEqual(cached!.match.method, ['GET', 'HEAD', 'POST'])
    assert.deepEqual(proxied!.match.method, ['GET'])
    assert.equal(proxied!.auth, 'none')
    assert.equal(denied!.upstream, undefined)
    assert.equal(denied!.match.method, undefined)
  })

  test('settles how the jobs of a route are kept', () => {
    const [cached, queued, keeping, proxied] = configOf(`${STRIPPED}
routes:
  - { name: a, match: { path: /a }, mode: cache }
  - { name: b, match: { path: /b }, mode: queue, class: batch }
  - { name: c, match: { path: /c }, mode: queue, cache: {}, submit: { resultTtl: 1d, credentialKey: ${SECRET} } }
  - { name: d, match: { path: /d }, mode: proxy }`).routes
    assert.deepEqual([cached!.class, cached!.submit], ['default', undefined])
    assert.deepEqual([queued!.class, queued!.submit, queued!.cache], ['batch', DEFAULT_SUBMIT, undefined])
    assert.deepEqual(keeping!.submit, { resultTtl: 86_400_000, durability: 'applied', credentialKey: [SECRET] })
    assert.equal(keeping!.cache!.ttl, 300_000)
    assert.deepEqual([proxied!.class, proxied!.submit], [undefined, undefined])
    assert.deepEqual(DEFAULT_SUBMIT, { resultTtl: 3_600_000, durability: 'applied', credentialKey: [] })
  })

  test('has a queue route match every method, unless its answers are kept', () => {
    const [open, keeping, named] = configOf(`${STRIPPED}
routes:
  - { name: a, match: { path: /a }, mode: queue }
  - { name: b, match: { path: /b }, mode: queue, cache: {} }
  - { name: c, match: { path: /c, method: [PUT, DELETE] }, mode: queue }`).routes
    assert.equal(open!.match.method, undefined)
    assert.deepEqual(keeping!.match.method, ['GET', 'HEAD', 'POST'])
    assert.deepEqual(named!.match.method, ['PUT', 'DELETE'])
  })

  test('takes memory from the environment with its unit, or 0', () => {
    const text = `store: { kind: redis, url: "redis://h" }\nworkers: { maxMemory: "\${MEMORY:-0}" }`
    assert.equal(configOf(text, { MEMORY: '2GiB' }).workers.maxMemory, 2 * 1024 ** 3)
    assert.equal(configOf(text).workers.maxMemory, 0)
  })

  for (const [auth, expected] of [
    ['auth: { required: false }', 'none'],
    [
      `auth: { required: false, issuers: [{ name: a, algorithms: [RS256], jwksUri: "https://h/k", tenant: { claim: t } }] }`,
      'optional',
    ],
    [`auth: { issuers: [{ name: a, algorithms: [RS256], jwksUri: "https://h/k", tenant: { claim: t } }] }`, 'required'],
  ] as const) {
    test(`takes the auth of a route that says nothing from the rest: ${expected}`, () => {
      const { routes } = configOf(`${auth}\nroutes: [{ name: a, match: { path: /a }, mode: proxy }]`)
      assert.equal(routes[0]!.auth, expected)
    })
  }

  test('may name claims that are numbers in a map', () => {
    const auth = `auth: { issuers: [{ name: a, algorithms: [RS256], jwksUri: "https://h/k", tenant: { claim: sub, map: { 7: acme } } }] }`
    const { tenant } = configOf(auth).auth.issuers[0]!
    assert.equal('claim' in tenant && tenant.map?.['7'], 'acme')
  })
})
