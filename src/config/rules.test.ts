import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { describe, test } from 'node:test'
import { PUBLISHED_SECRET } from './auth.rules.ts'
import { load, SECRET, told } from './fixture.ts'

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
