import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { describe, test } from 'node:test'
import { PUBLISHED_SECRET } from './auth.rules.ts'
import { faultsOf, load, SECRET, told } from './fixture.ts'

const pem = (type: 'rsa' | 'ed25519') =>
  type === 'rsa'
    ? generateKeyPairSync('rsa', {
        modulusLength: 2048,
        publicKeyEncoding: { type: 'spki', format: 'pem' },
        privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      })
    : generateKeyPairSync('ed25519', {
        publicKeyEncoding: { type: 'spki', format: 'pem' },
        privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      })

const RSA = pem('rsa')
const ED25519 = pem('ed25519')

const issuer = (key: string, algorithms = 'HS256', host = '127.0.0.1') =>
  `server: { host: "${host}" }\nauth: { issuers: [{ name: a, algorithms: [${algorithms}], ${key} tenant: { claim: t } }] }`

const cached = (cache: string, auth = 'required', upstream = '{ urls: ["http://h"] }') =>
  `upstreams: { main: ${upstream} }\nroutes: [{ name: a, match: { path: /a }, mode: cache, auth: ${auth}, cache: { ${cache} } }]`

const STRIPPED = '{ urls: ["http://h"], credentials: strip }'
const OWN = '{ urls: ["http://h"], credentials: { header: Authorization, value: "Bearer x" } }'
const FORWARDED = '{ urls: ["http://h"] }'

const queued = (settings: string, upstream = STRIPPED) =>
  `upstreams: { main: ${upstream} }\nroutes: [{ name: a, match: { path: /a }, mode: queue, ${settings} }]`

const REDIS = 'store: { kind: redis, url: "redis://h" }'

describe('a config is refused', () => {
  for (const [why, text, expected] of [
    ['as its processes share no store', 'server: { processes: auto }', /processes: needs a store/],
    ['as everybody may read its admin port', 'admin: { host: 0.0.0.0 }', /admin\.token: is empty while/],
    ['as both ports are one', 'admin: { port: 8080 }', /admin\.port: is the data port too/],
    [
      'as * does not go with credentials',
      'server: { cors: { origins: ["*"], credentials: true } }',
      /cors\.origins: \* together/,
    ],
    ['as Redis is nowhere', 'store: { kind: redis }', /store: does not say where Redis is/],
    [
      'as Redis is in two places',
      'store: { kind: redis, url: "redis://h", cluster: ["h:1"] }',
      /store: says where Redis is in 2 ways/,
    ],
    ['as there is no issuer', 'auth: {}', /auth\.issuers: is empty/],
    [
      'as a connection may take longer than an answer',
      'upstreams: { main: { urls: ["http://h"], timeout: 1s } }',
      /connectTimeout: is longer than timeout/,
    ],
    [
      'as the breaker waits longer than at most',
      'upstreams: { main: { urls: ["http://h"], breaker: { maxResetTimeout: 1s } } }',
      /resetTimeout: is longer than maxResetTimeout/,
    ],
    [
      'as one header would name tenant and principal',
      'upstreams: { main: { urls: ["http://h"], trustedHeaders: { principal: x-tenant-id } } }',
      /principal: is the header of the tenant too/,
    ],
    ['as an issuer has no key', issuer(''), /issuers\[0\]: has no key/],
    [
      'as an issuer has two keys',
      issuer(`secret: ${SECRET}, jwksUri: "https://h/k",`),
      /issuers\[0\]: has 2 keys: secret, jwksUri/,
    ],
    [
      'as RS256 does not go with a secret',
      issuer(`secret: ${SECRET},`, 'HS256, RS256'),
      /algorithms: RS256 cannot be verified with a secret/,
    ],
    [
      'as HS256 does not go with a public key',
      issuer('jwksUri: "https://h/k",', 'HS256, RS256'),
      /algorithms: HS256 cannot be verified with a public key/,
    ],
    ['as `none` is no algorithm', issuer(`secret: ${SECRET},`, 'none'), /algorithms\[0\]: "none" is not known/],
    [
      'as its secret is short',
      issuer('secret: short,', 'HS256', '0.0.0.0'),
      /secret: has 5 bytes, which is too short for HS256/,
    ],
    [
      'as its secret is short for HS512',
      issuer(`secret: ${'s'.repeat(63)},`, 'HS512', '0.0.0.0'),
      /secret: has 63 bytes/,
    ],
    [
      'as its secret is published',
      issuer(`secret: ${PUBLISHED_SECRET},`, 'HS256', '0.0.0.0'),
      /secret: is the published secret/,
    ],
    ['as its public key is none', issuer('publicKey: abc,', 'RS256'), /publicKey: holds no public key/],
    [
      'as its public key is a private one',
      issuer(`publicKey: ${JSON.stringify(RSA.privateKey)},`, 'RS256'),
      /publicKey: holds no public key/,
    ],
    [
      'as its public key is of another kind',
      issuer(`publicKey: ${JSON.stringify(RSA.publicKey)},`, 'RS256, ES256'),
      /publicKey: is not a key for ES256/,
    ],
    [
      'as two issuers have one name',
      `auth: { issuers: [${Array(2).fill(`{ name: a, algorithms: [HS256], secret: ${SECRET}, tenant: { value: t } }`)}] }`,
      /issuers\[1\]\.name: is the name of an earlier/,
    ],
    [
      'as a tenant is both a claim and a constant',
      `auth: { issuers: [{ name: a, algorithms: [HS256], secret: ${SECRET}, tenant: { claim: a, value: b } }] }`,
      /tenant\.value: does not go together with claim/,
    ],
    [
      'as a route leaves open which upstream',
      'upstreams: { a: { urls: ["http://h"] }, b: { urls: ["http://h"] } }\nroutes: [{ name: a, match: { path: /a }, mode: proxy }]',
      /upstream: is missing, and there are several/,
    ],
    [
      'as DELETE cannot be cached',
      'routes: [{ name: a, match: { path: /a, method: [GET, DELETE] }, mode: cache }]',
      /match\.method: answers to DELETE cannot be cached/,
    ],
    [
      'as nobody is known on a route without tokens',
      cached('', 'none'),
      /identity: principal cannot be told on a route with auth: none/,
    ],
    [
      'as no tenant is known on a route without tokens',
      cached('identity: tenant', 'none'),
      /identity: tenant cannot be told/,
    ],
    [
      'as shared is said only once',
      cached('identity: shared'),
      /identity: shared, but the upstream gets the tenant header and the caller’s own credential/,
    ],
    [
      'as the tenant header goes upstream though no credential does',
      cached('identity: shared', 'optional', STRIPPED),
      /upstream gets the tenant header and may/,
    ],
    [
      'as the credential goes upstream though no tenant is known',
      cached('identity: shared', 'none'),
      /upstream gets the caller’s own credential and may/,
    ],
    [
      'as a raw body has no paths',
      cached('body: raw, ignoreBody: [a]'),
      /ignoreBody\[0\]: looks into a body that cache\.body: raw/,
    ],
    [
      'as a raw body has no paths for a bypass',
      cached('body: none, bypass: ["query:a=1", "body:a=1"]'),
      /bypass\[1\]: looks into a body/,
    ],
    ['as a raw body has no paths for a tag', cached('body: raw, tags: ["{body.a}"]'), /tags\[0\]: looks into a body/],
    [
      'as answers would stay for too long',
      cached('ttl: 7d'),
      /cache\.ttl: lets an answer be kept for .*, longer than the store's bound of 7d/,
    ],
    ['as stale answers would stay for too long', cached('staleIfError: 7d'), /cache\.staleIfError: lets/],
    [
      'as a tenant would keep answers for too long',
      `${cached('ttl: 1m')}\ntenants: { list: { acme: { cache: { staleIfError: 7d } } } }`,
      /tenants\.list\.acme\.cache: lets/,
    ],
    ['as a job would belong to nobody', queued('auth: none'), /^2:61 routes\[0\]\.auth: is none, but a job belongs/],
    [
      'as a job would belong to nobody where nothing needs a token',
      `auth: { required: false }\n${queued('class: batch')}`,
      /routes\[0\]\.auth: is none, but a job belongs to somebody/,
    ],
    [
      'as a cached route without tokens takes no job',
      `upstreams: { main: ${STRIPPED} }\nroutes: [{ name: a, match: { path: /a }, mode: cache, auth: none, cache: { identity: shared }, submit: {} }]`,
      /routes\[0\]\.submit: is for nobody on a route with auth: none/,
    ],
    [
      'as a job would keep a credential in the open',
      queued('class: batch', FORWARDED),
      /routes\[0\]\.submit\.credentialKey: is missing: upstream main gets the caller’s own credential/,
    ],
    [
      'as a job of a cached route would keep a credential in the open',
      'routes: [{ name: a, match: { path: /a }, mode: cache, submit: { resultTtl: 1d } }]',
      /^1:55 routes\[0\]\.submit\.credentialKey: is missing/,
    ],
    [
      'as the embedded store has no replica',
      queued('submit: { durability: replicated }'),
      /submit\.durability: is replicated, but the embedded store/,
    ],
    [
      'as answers to DELETE cannot be cached on a queue route either',
      queued('match: { path: /a, method: DELETE }, cache: {}').replace('match: { path: /a }, ', ''),
      /match\.method: answers to DELETE cannot be cached/,
    ],
    [
      'as a raw body has no paths on a queue route either',
      queued('cache: { body: raw, ignoreBody: [a] }'),
      /ignoreBody\[0\]: looks into a body/,
    ],
    [
      'as no process would take over from one that has run its jobs',
      'workers: { maxJobsPerProcess: 1000 }',
      /^1:31 workers\.maxJobsPerProcess: replaces a process/,
    ],
    [
      'as no process would take over from a large one',
      'workers: { maxMemory: 1GiB }',
      /workers\.maxMemory: replaces a process/,
    ],
    [
      'as results would go where there is no store',
      'results: { kind: redis }',
      /results\.kind: is redis, but the store/,
    ],
    [
      'as there is no such plan',
      'tenants: { plans: { gold: {} }, list: { acme: { plan: glod } } }',
      /plan: is not the name of a plan; did you mean "gold"/,
    ],
  ] as const) {
    test(why, () => {
      const found = told(text)
      assert.equal(found.length, 1, found.join('\n'))
      assert.match(found[0]!, expected)
    })
  }
})

describe('a config is accepted', () => {
  for (const [why, text] of [
    ['with many processes on Redis', 'server: { processes: 4 }\nstore: { kind: redis, url: "redis://:p@h:6379/0" }'],
    ['with Redis behind sentinels', 'store: { kind: redis, sentinel: { name: m, nodes: ["h:1", "[::1]:2"] } }'],
    ['with a token on an open admin port', 'admin: { host: 0.0.0.0, token: t }'],
    ['with any free port for both', 'server: { port: 0 }\nadmin: { port: 0 }'],
    ['with * for everybody without credentials', 'server: { cors: { origins: ["*"] } }'],
    ['with no issuer where nothing needs a token', 'auth: { required: false }'],
    ['with shared said twice', cached('identity: shared, sharedDespiteTenantHeader: true')],
    ['with shared where the upstream cannot tell tenants apart', cached('identity: shared', 'none', STRIPPED)],
    ['with every identity where a token is optional', cached('identity: tenant', 'optional')],
    ['with a key for its algorithms', issuer(`publicKey: ${JSON.stringify(RSA.publicKey)},`, 'RS256, PS512')],
    ['with a key for EdDSA', issuer(`publicKey: ${JSON.stringify(ED25519.publicKey)},`, 'EdDSA')],
    ['with a long secret anywhere', issuer(`secret: ${SECRET},`, 'HS512', '0.0.0.0')],
    ['with jobs that keep no credential', queued('auth: optional, submit: { resultTtl: 1s }')],
    ['with jobs that go with a credential of the gateway', queued('class: batch', OWN)],
    ['with a credential that is sealed', queued(`submit: { credentialKey: ${SECRET} }`, FORWARDED)],
    ['with keys that are rotated', queued(`submit: { credentialKey: [${SECRET}, ${SECRET}2] }`, FORWARDED)],
    ['with a cached route that says nothing of jobs', cached('ttl: 1m')],
    ['with any method in a queue', queued('match: { path: /a, method: DELETE }').replace('match: { path: /a }, ', '')],
    ['with jobs that a replica has too', `${REDIS}\n${queued('submit: { durability: replicated }')}`],
    ['with processes that others replace', `${REDIS}\nworkers: { maxJobsPerProcess: 1, maxMemory: 64MiB }`],
    ['with results in Redis', `${REDIS}\nresults: { kind: redis }`],
    ['with a soft limit above the hard one', 'tenants: { default: { softConcurrentQueries: 9 } }'],
    [
      'with answers kept for exactly the bound',
      cached('ttl: 5d, jitter: 0.2, staleIfError: 1d, staleWhileRevalidate: 1d'),
    ],
  ] as const) {
    test(why, () => assert.deepEqual([told(text), load(text).warnings], [[], []]))
  }
})

describe('a config is accepted with a warning', () => {
  for (const [why, text, expected] of [
    ['for a short secret on loopback', issuer('secret: short,'), /^2:59 auth\.issuers\[0\]\.secret: has 5 bytes/],
    [
      'for keys fetched without TLS',
      issuer('jwksUri: "http://idp.example/k",', 'RS256'),
      /jwksUri: fetches keys without TLS/,
    ],
    [
      'for a route that is never reached',
      'routes:\n- { name: a, match: { path: /a/* }, mode: proxy }\n- { name: b, match: { path: /a/b, method: GET }, mode: deny }',
      /^3:3 routes\[1\]: is never reached: routes\[0\] above/,
    ],
  ] as const) {
    test(why, () => {
      const warnings = load(text).warnings.map(({ line, col, path, message }) => `${line}:${col} ${path}: ${message}`)
      assert.equal(warnings.length, 1)
      assert.match(warnings[0]!, expected)
    })
  }

  test('but not for a route that an earlier one leaves something', () => {
    const routes =
      'routes:\n- { name: a, match: { path: /a/*, method: GET }, mode: proxy }\n- { name: b, match: { path: /a/b }, mode: deny }'
    assert.deepEqual(load(routes).warnings, [])
  })
})

describe('a rule about jobs', () => {
  for (const [why, text, expected] of [
    [
      'is silent about a key that is misspelt',
      queued(`submit: { credentialKay: ${SECRET} }`, FORWARDED),
      /credentialKay: is not a setting; did you mean "credentialKey"/,
    ],
    [
      'is silent about a key that is too short',
      queued('submit: { credentialKey: short }', FORWARDED),
      /credentialKey: is too short/,
    ],
    [
      'is silent about a credential that is misspelt',
      queued('class: batch', '{ urls: ["http://h"], credentials: strp }'),
      /credentials: "strp" is not known/,
    ],
    [
      'is silent about a store that is misspelt',
      'store: { kind: redsi }\nworkers: { maxJobsPerProcess: 1 }\nresults: { kind: redis }',
      /store\.kind: "redsi" is not known/,
    ],
  ] as const) {
    test(why, () => {
      const found = told(text)
      assert.equal(found.length, 1, found.join('\n'))
      assert.match(found[0]!, expected)
    })
  }

  test('says what is allowed instead', () => {
    const [fault] = faultsOf(queued('class: batch', FORWARDED))
    assert.match(
      fault!.allowed,
      /at least 32 characters, or a list of such; or upstreams\.main\.credentials: strip or one/,
    )
  })
})
