import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { formatFault } from './faults.ts'
import { faultsOf, SECRET, told } from './fixture.ts'

const queued = (submit: string) => `routes: [{ name: q, match: { path: /q }, mode: queue, submit: { ${submit} } }]`

describe('a fault', () => {
  for (const [what, text, expected] of [
    ['an unknown key', 'server: { prot: 80 }', '1:11 server.prot: is not a setting; did you mean "port"?'],
    ['an unknown section', 'sever: {}', '1:1 sever: is not a setting; did you mean "server"?'],
    ['a key like no other', 'server: { zzzzzzzz: 1 }', '1:11 server.zzzzzzzz: is not a setting'],
    [
      'a key of a later version',
      'presets: []',
      '1:1 presets: is not obeyed by this version: it has no code for it yet',
    ],
    [
      'a nested key of a later version',
      'telemetry: { tracing: true }',
      '1:14 telemetry.tracing: is not obeyed by this version: it has no code for it yet',
    ],
    [
      'a tenant setting of a later version',
      'tenants: { list: { acme: { budget: {} } } }',
      '1:28 tenants.list.acme.budget: is not obeyed by this version: it has no code for it yet',
    ],
    [
      'a key of another variant',
      'store: { kind: embedded, url: "redis://h" }',
      '1:26 store.url: does not belong here: only kind: redis has it',
    ],
    [
      'a duration without a unit',
      'server: { drainTimeout: 30 }',
      '1:25 server.drainTimeout: is a number without a unit',
    ],
    [
      'a duration with a wrong unit',
      'server: { drainTimeout: 30 parsecs }',
      '1:25 server.drainTimeout: is not a duration',
    ],
    ['a duration out of bounds', 'server: { drainTimeout: 2h }', '1:25 server.drainTimeout: is too large'],
    ['a size without a unit', 'server:\n  bodyLimit: 1000000', '2:14 server.bodyLimit: is a number without a unit'],
    ['a size in decimal units', 'server: { bodyLimit: 1MB }', '1:22 server.bodyLimit: is not a size'],
    ['a size out of bounds', 'server: { bodyLimit: 1B }', '1:22 server.bodyLimit: is too small'],
    ['a number out of bounds', 'server: { port: 65536 }', '1:17 server.port: is too large'],
    ['a number with a fraction', 'server: { port: 80.5 }', '1:17 server.port: is not a whole number'],
    ['a text for a number', 'server: { port: http }', '1:17 server.port: is text'],
    ['a text for a switch', 'telemetry: { accessLog: "yes" }', '1:25 telemetry.accessLog: is text'],
    ['a list for a section', 'server: []', '1:1 server: is a list'],
    ['an empty value', 'server:\n  port:\n  host: 127.0.0.1', '2:8 server.port: is empty'],
    [
      'an unknown word',
      'telemetry: { logLevel: inof }',
      '1:24 telemetry.logLevel: "inof" is not known; did you mean "info"?',
    ],
    ['a missing setting', 'upstreams: { main: {} }', '1:14 upstreams.main.urls: is missing'],
    ['an empty list', 'upstreams: { main: { urls: [] } }', '1:22 upstreams.main.urls: is empty'],
    [
      'an impossible name',
      'upstreams: { Main: { urls: ["http://h"] } }',
      '1:14 upstreams.Main: is not a possible name',
    ],
    [
      'a URL with a password',
      'upstreams: { main: { urls: ["http://a:b@h"] } }',
      '1:29 upstreams.main.urls[0]: does not have the right form',
    ],
    [
      'a URL with a query',
      'upstreams: { main: { urls: ["http://h/?a"] } }',
      '1:29 upstreams.main.urls[0]: does not have the right form',
    ],
    [
      'a URL of another scheme',
      'upstreams: { main: { urls: ["ftp://h"] } }',
      '1:29 upstreams.main.urls[0]: does not have the right form',
    ],
    [
      'a proxy that is no address',
      'server: { trustedProxies: [10.0.0.0/33] }',
      '1:28 server.trustedProxies[0]: does not have the right form',
    ],
    [
      'an origin with a path',
      'server: { cors: { origins: ["https://h/x"] } }',
      '1:29 server.cors.origins[0]: does not have the right form',
    ],
    [
      'an unknown mode',
      'routes: [{ name: q, match: { path: /q }, mode: cahe }]',
      '1:48 routes[0].mode: "cahe" is not known; did you mean "cache"?',
    ],
    [
      'a method in lower case',
      'routes: [{ name: q, match: { path: /q, method: post }, mode: proxy }]',
      '1:48 routes[0].match.method: "post" is not known; did you mean "POST"?',
    ],
    [
      'a method in a list',
      'routes: [{ name: q, match: { path: /q, method: [GET, POTS] }, mode: proxy }]',
      '1:54 routes[0].match.method[1]: "POTS" is not known; did you mean "POST"?',
    ],
    [
      'a path with a star inside',
      'routes: [{ name: q, match: { path: /a/*/b }, mode: proxy }]',
      '1:36 routes[0].match.path: does not have the right form',
    ],
    [
      'a bypass that is none',
      'routes: [{ name: q, match: { path: /q }, mode: cache, cache: { bypass: [force] } }]',
      '1:73 routes[0].cache.bypass[0]: does not have the right form',
    ],
    [
      'a tag with a wrong placeholder',
      'routes: [{ name: q, match: { path: /q }, mode: cache, cache: { tags: ["{claim.a}"] } }]',
      '1:71 routes[0].cache.tags[0]: does not have the right form',
    ],
    [
      'cache on a proxied route',
      'routes: [{ name: q, match: { path: /q }, mode: proxy, cache: {} }]',
      '1:55 routes[0].cache: does not belong here: only a route with mode: cache or queue has it',
    ],
    [
      'a class on a proxied route',
      'routes: [{ name: q, match: { path: /q }, mode: proxy, class: batch }]',
      '1:55 routes[0].class: does not belong here: only a route with mode: cache or queue has it',
    ],
    [
      'submit on a denied route',
      'routes: [{ name: q, match: { path: /q }, mode: deny, submit: {} }]',
      '1:54 routes[0].submit: does not belong here: only a route with mode: cache or queue has it',
    ],
    [
      'an unknown class',
      'routes: [{ name: q, match: { path: /q }, mode: cache, class: bach }]',
      '1:62 routes[0].class: "bach" is not known; did you mean "batch"?',
    ],
    ['a result without an end', queued('resultTtl: 0s'), '1:76 routes[0].submit.resultTtl: is too small'],
    [
      'a short key, without repeating it,',
      queued('credentialKey: short'),
      '1:80 routes[0].submit.credentialKey: is too short',
    ],
    [
      'a short key among others',
      queued(`credentialKey: [${SECRET}, short]`),
      `1:${83 + SECRET.length} routes[0].submit.credentialKey[1]: is too short`,
    ],
    ['no key at all', queued('credentialKey: []'), '1:65 routes[0].submit.credentialKey: is empty'],
    [
      'more keys than anybody rotates',
      queued(`credentialKey: [${Array(9).fill(SECRET).join(', ')}]`),
      '1:65 routes[0].submit.credentialKey: has too many entries',
    ],
    [
      'how an embedded store writes, of Redis,',
      'store: { kind: redis, url: "redis://h", synchronous: normal }',
      '1:41 store.synchronous: does not belong here: only kind: embedded has it; Redis has its own appendfsync',
    ],
    ['a weight of nothing', 'tenants: { default: { weight: 0 } }', '1:31 tenants.default.weight: is too small'],
    [
      'a shadow of what is no limit',
      'tenants: { default: { shadow: [maxQueueSiz, weight] } }',
      '1:32 tenants.default.shadow[0]: "maxQueueSiz" is not known; did you mean "maxQueueSize"?',
    ],
    ['memory without a unit', 'workers: { maxMemory: 512 }', '1:23 workers.maxMemory: is a number without a unit'],
    ['memory nobody starts with', 'workers: { maxMemory: 1MiB }', '1:23 workers.maxMemory: is too small'],
    ['a process without jobs', 'workers: { concurrency: 0 }', '1:25 workers.concurrency: is too small'],
    ['a spill without bounds', 'results: { spillAbove: 65MiB }', '1:24 results.spillAbove: is too large'],
    [
      'an upstream without width',
      'upstreams: { main: { urls: ["http://h"], maxConcurrentQueries: 0 } }',
      '1:64 upstreams.main.maxConcurrentQueries: is too small',
    ],
    ['a key that stands twice', 'server:\n  port: 1\n  port: 2', '3:3 : this key stands twice in its section'],
    ['__proto__', 'server: { __proto__: { port: 1 } }', '1:11 server.?: is not a possible key'],
    ['a key that is a section', 'server: { ? { a: 1 } : 2 }', '1:13 server.?: is not a possible key'],
    ['a merge key', 'server: { <<: {} }', '1:11 server.<<: is not a setting'],
    ['an unknown tag', 'server: { host: !!js/function x }', /1:17 : not YAML: Unresolved tag/],
    ['broken YAML', 'server: { port: 1', /: not YAML: /],
    ['a second document', 'server: {}\n---\na: 1', '2:1 : a second document begins here; a config is one'],
    ['an alias of nothing', 'server: *x', '1:9 server: refers to something that no &anchor above it names'],
    [
      'a text for a section',
      `auth: { issuers: [{ name: a, algorithms: [HS256], secret: ${SECRET}, tenant: x }] }`,
      `1:${69 + SECRET.length} auth.issuers[0].tenant: is text`,
    ],
    [
      'a secret in the wrong place, without repeating it,',
      'upstreams: { main: { urls: ["http://h"], credentials: "Bearer abc" } }',
      '1:55 upstreams.main.credentials: is not one of the possible values',
    ],
  ] as const) {
    test(`${what} is told with its place`, () => {
      const [first] = told(text)
      assert.ok(first, 'there is a fault')
      if (typeof expected === 'string') assert.equal(first, expected)
      else assert.match(first, expected)
    })
  }

  test('is printed as FILE:LINE:COL path: what is wrong (what is allowed)', () => {
    const [fault] = faultsOf('server: { port: 65536 }')
    assert.equal(formatFault(fault!), 'test.yaml:1:17 server.port: is too large (a whole number, 0 to 65535)')
  })

  test('about a number without a unit says which units there are', () => {
    assert.match(faultsOf('server: { drainTimeout: 30 }')[0]!.allowed, /250ms, 30s, 5m, 1h or 1d; 0s to 1h/)
    assert.match(faultsOf('server: { bodyLimit: 30 }')[0]!.allowed, /64KiB, 10MiB or 1GiB/)
  })

  test('inside an alias points into what it stands for', () => {
    assert.deepEqual(told('tenants: { default: &d { brust: 1 }, plans: { a: *d } }'), [
      '1:26 tenants.default.brust: is not a setting; did you mean "burst"?',
      '1:26 tenants.plans.a.brust: is not a setting; did you mean "burst"?',
    ])
  })
})
