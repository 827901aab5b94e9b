import assert from 'node:assert/strict'
import { Agent } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { aboard } from '../support/admin.ts'
import { ask, type Reply, tokenFor } from '../support/client.ts'
import { configFor, getRoute, issuer, redisStore, SECRET } from '../support/config.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { holdQuestion } from '../support/held.ts'
import { type Origin, type Script, startOrigin } from '../support/origin.ts'
import { startRedis } from '../support/redis.ts'
import { forge, generateTestKey, mint, mintBy, mintText, type TestKey } from '../support/tokens.ts'

const IDENTITIES = ['principal', 'scope', 'tenant', 'shared'] as const

const routeOf = (identity: (typeof IDENTITIES)[number]) => ({
  name: identity,
  match: { path: `/api/${identity}/:id` },
  mode: 'cache',
  cache: { body: 'none', identity, ...(identity === 'shared' && { sharedDespiteTenantHeader: true }) },
})

const ROUTES = [
  ...IDENTITIES.map(routeOf),
  getRoute(),
  {
    name: 'optional',
    match: { path: '/api/optional/:id' },
    mode: 'cache',
    auth: 'optional',
    cache: { body: 'none' },
  },
  {
    name: 'localised',
    match: { path: '/api/localised/:id' },
    mode: 'cache',
    cache: { body: 'none', varyHeaders: ['Accept-Language'] },
  },
  { name: 'open', match: { path: '/open/*' }, mode: 'proxy', auth: 'none' },
  { name: 'proxied', match: { path: '/proxied/*' }, mode: 'proxy' },
]

const TENANTS = {
  unknown: 'reject',
  default: { requestsPerMinute: 0 },
  list: { acme: {}, globex: {}, a: {}, 'a-b': {}, 'a-3': {}, resting: { paused: true } },
}

let made = 0
const question = (kind: string) => `/api/${kind}/i${++made}`

/** Answers with who the upstream was told is asking, and a number that is never the same. */
let answered = 0
const whoAsks: Script = (req, res) =>
  void res.end(`${req.headers['x-tenant-id']}/${req.headers['x-principal-id']} ${++answered}`)

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

describe('an answer', () => {
  const open = new AsyncDisposableStack()
  let origin: Origin
  let gateway: TestGateway
  before(async () => {
    origin = open.use(await startOrigin())
    gateway = open.use(await startGateway(configFor(origin.url, { routes: ROUTES, tenants: TENANTS })))
  })
  after(() => open.disposeAsync())

  const get = (path: string, token?: string, headers: Record<string, string | string[]> = {}) =>
    ask(gateway.url, { path, headers: { ...(token !== undefined && bearer(token)), ...headers } })

  type Claims = Record<string, unknown>
  const tokenOf = ({ tenant = 'acme', ...claims }: Claims) => tokenFor(String(tenant), claims)
  /** Whether two callers are given one answer. Both ways round, and at different questions. */
  const share = async (kind: string, one: Claims, other: Claims): Promise<boolean> => {
    origin.answer(whoAsks)
    const tokens = [await tokenOf(one), await tokenOf(other)] as const
    const results = new Set<boolean>()
    for (const [first, second] of [tokens, tokens.toReversed()]) {
      const path = question(kind)
      const [a, b] = [await get(path, first), await get(path, second)]
      assert.deepEqual([a.status, b.status], [200, 200])
      results.add(a.body === b.body)
    }
    assert.equal(results.size, 1, 'the same both ways round')
    return [...results][0]!
  }

  const ANA = { sub: 'ana', rls: ['region=eu'] }
  const SHARING: [string, Claims, Claims, Record<(typeof IDENTITIES)[number], boolean>][] = [
    [
      'the same claims in another token',
      ANA,
      { ...ANA, jti: 'x' },
      { principal: true, scope: true, tenant: true, shared: true },
    ],
    [
      'another principal with the same scope',
      ANA,
      { ...ANA, sub: 'bob' },
      { principal: false, scope: true, tenant: true, shared: true },
    ],
    [
      'the same principal with another scope',
      ANA,
      { ...ANA, rls: ['region=us'] },
      { principal: false, scope: false, tenant: true, shared: true },
    ],
    [
      'no scope claim, and one that is null',
      { sub: 'ana' },
      { sub: 'ana', rls: null },
      { principal: false, scope: false, tenant: true, shared: true },
    ],
    [
      'a scope in another order of its keys',
      { sub: 'ana', rls: { a: 1, b: 2 } },
      { sub: 'ana', rls: { b: 2, a: 1 } },
      { principal: true, scope: true, tenant: true, shared: true },
    ],
    [
      'a scope in another order of its items',
      { sub: 'ana', rls: [1, 2] },
      { sub: 'ana', rls: [2, 1] },
      { principal: false, scope: false, tenant: true, shared: true },
    ],
    [
      'another tenant, all else the same',
      ANA,
      { ...ANA, tenant: 'globex' },
      { principal: false, scope: false, tenant: false, shared: true },
    ],
    [
      'parts that are one when joined by a dash',
      { tenant: 'a', sub: 'b-c' },
      { tenant: 'a-b', sub: 'c' },
      { principal: false, scope: false, tenant: false, shared: true },
    ],
    [
      'a principal that looks like a frame',
      { tenant: 'a', sub: 'x|1:y' },
      { tenant: 'a', sub: 'x', rls: '|1:y' },
      { principal: false, scope: false, tenant: true, shared: true },
    ],
    [
      'a principal in other letters',
      { sub: 'Ana' },
      { sub: 'ana' },
      { principal: false, scope: true, tenant: true, shared: true },
    ],
    [
      'a principal and its percent-encoding',
      { sub: 'ü' },
      { sub: '%C3%BC' },
      { principal: false, scope: true, tenant: true, shared: true },
    ],
    [
      'a principal in another normal form',
      { sub: 'e\u0301' },
      { sub: '\u00e9' },
      { principal: false, scope: true, tenant: true, shared: true },
    ],
  ]
  for (const [what, one, other, expected] of SHARING) {
    for (const identity of IDENTITIES) {
      test(`${expected[identity] ? 'is shared' : 'is not shared'} by ${what} (identity ${identity})`, async () => {
        assert.equal(await share(identity, one, other), expected[identity])
      })
    }
  }

  test('is not shared by scopes that differ in the 17th digit of a number', async () => {
    origin.answer(whoAsks)
    const soon = Math.floor(Date.now() / 1_000) + 600
    const scoped = (digits: string) => mintText(`{"sub":"ana","tenant":"acme","exp":${soon},"rls":${digits}}`, SECRET)
    const path = question('scope')
    const one = await get(path, scoped('9007199254740992'))
    const other = await get(path, scoped('9007199254740993'))
    assert.equal(one.status, 200)
    assert.notEqual(one.body, other.body)
  })

  test('to nobody is not shared with somebody, and the upstream is told of no tenant', async () => {
    origin.answer(whoAsks)
    const path = question('optional')
    const [nobody, somebody, again] = [await get(path), await get(path, await tokenFor('acme')), await get(path)]
    assert.match(nobody.body, /^undefined\/undefined/)
    assert.match(somebody.body, /^acme\/ana/)
    assert.equal(again.body, nobody.body)
    assert.match(again.cache, /^hit/)
  })

  test('to a bad token on an optional route is a refusal, not nobody’s answer', async () => {
    const reply = await get(question('optional'), 'nonsense')
    assert.deepEqual([reply.status, JSON.parse(reply.body).code], [401, 'TOKEN_INVALID'])
  })

  const SPELLINGS = ['X-Tenant-Id', 'x-tenant-id', 'X_Tenant_Id', 'x_tenant-id', 'X-Principal-Id', 'X_PRINCIPAL_ID']
  for (const [mode, path] of [
    ['a cached', () => question('principal')],
    ['a proxied', () => '/proxied/x'],
  ] as const) {
    test(`on ${mode} route names the tenant and principal of the token, whatever the client says`, async () => {
      origin.answer(whoAsks)
      const spoofed = Object.fromEntries(SPELLINGS.map((name) => [name, ['globex', 'root']]))
      const reply = await get(path(), await tokenFor('acme'), spoofed)
      assert.match(reply.body, /^acme\/ana /)
      const { rawHeaders } = origin.seen.at(-1)!
      const told = rawHeaders.filter((name, i) => i % 2 === 0 && /^x[-_](tenant|principal)[-_]id$/i.test(name))
      assert.deepEqual(told.map((name) => name.toLowerCase()).sort(), ['x-principal-id', 'x-tenant-id'])
      assert.ok(!rawHeaders.includes('globex') && !rawHeaders.includes('root'))
    })
  }

  test('on a route without tokens has no tenant at all', async () => {
    origin.answer(whoAsks)
    const reply = await get('/open/x', undefined, { 'X-Tenant-Id': 'globex', X_Principal_Id: 'root' })
    assert.match(reply.body, /^undefined\/undefined/)
  })

  for (const [name, value] of [
    ['X-Forwarded-Host', 'evil.example'],
    ['X-Forwarded-For', '10.0.0.1'],
    ['Forwarded', 'host=evil.example'],
    ['X-Original-URL', '/closed'],
    ['X-Rewrite-URL', '/closed'],
    ['X-HTTP-Method-Override', 'DELETE'],
    ['Accept', 'text/csv'],
    ['Accept-Language', 'de-CH-1996'],
    ['Cookie', 'session=of-somebody'],
    ['Origin', 'https://evil.example'],
    ['Referer', 'https://evil.example/'],
    ['X-Anything', 'at all'],
    ['If-None-Match', '"x"'],
    ['Range', 'bytes=0-1'],
    ['Cache-Control', 'no-store'],
  ] as const) {
    test(`cannot be changed by ${name}, which is not keyed and stays here`, async () => {
      origin.answer((req, res) => void res.end(`${req.headers[name.toLowerCase()]} ${++answered}`))
      const path = question('principal')
      const token = await tokenFor('acme')
      const poisoned = await get(path, token, { [name]: value })
      assert.match(poisoned.body, /^undefined /)
      assert.ok(!JSON.stringify(origin.seen.at(-1)).includes(value))
      assert.equal((await get(path, token)).body, poisoned.body)
    })
  }

  test('may differ by a header that is keyed', async () => {
    origin.answer((req, res) => void res.end(`${req.headers['accept-language']} ${++answered}`))
    const path = question('localised')
    const token = await tokenFor('acme')
    const [de, en] = [
      await get(path, token, { 'accept-language': 'de' }),
      await get(path, token, { 'accept-language': 'en' }),
    ]
    assert.match(de.body, /^de /)
    assert.match(en.body, /^en /)
  })

  for (const [kind, vary, stored] of [
    ['principal', 'Accept-Encoding, Cookie', true], // what Flask says of everything it has a session for
    ['principal', 'Origin', true],
    ['principal', 'Authorization', true],
    ['principal', 'X-Tenant-Id', true],
    ['principal', 'Accept-Language', true],
    ['principal', 'User-Agent', false],
    ['principal', '*', false],
    ['localised', 'Accept-Language', true],
    ['shared', 'Origin', true],
    ['shared', 'Authorization', false],
    ['shared', 'X-Tenant-Id', false],
    ['shared', 'Cookie', false], // one that carries a token is sent
  ] as const) {
    test(`that varies on ${vary} is ${stored ? 'stored' : 'not stored'} with identity ${kind}`, async () => {
      origin.answer((_req, res) => void res.writeHead(200, { vary }).end(`${++answered}`))
      const path = question(kind)
      const token = await tokenFor('acme')
      const first = await get(path, token)
      assert.equal(first.cache, stored ? 'fwd=uri-miss; stored' : 'fwd=uri-miss; detail=vary')
      assert.equal((await get(path, token)).body === first.body, stored)
    })
  }

  test('gives its cookie to the one who asked upstream, not to those who waited with him', async () => {
    const { path, letGo, asked } = holdQuestion(
      origin,
      (n, res) => void res.writeHead(200, { 'set-cookie': `session=${n}` }).end(`answer ${n}`),
      '/api/tenant',
    )
    const ana = await tokenFor('acme')
    const tokens = [ana, ...(await Promise.all(['bob', 'eve', 'ana'].map((sub) => tokenFor('acme', { sub }))))]
    const all = tokens.map((token) => get(path, token))
    await aboard(gateway, path, ana, 4)
    letGo()
    const replies = await Promise.all(all)
    const cookies = replies.filter(({ headers }) => headers['set-cookie'] !== undefined)
    assert.deepEqual(
      cookies.map(({ cache }) => cache),
      ['fwd=uri-miss; stored'],
    )
    assert.equal((await get(path, tokens[1])).headers['set-cookie'], undefined)
    assert.equal(asked(), 1)
  })

  test('that is an error gives its cookie to the one who asked upstream alone', async () => {
    const { path, letGo } = holdQuestion(
      origin,
      (n, res) => void res.writeHead(422, { 'set-cookie': `session=${n}` }).end('wrong'),
      '/api/tenant',
    )
    const ana = await tokenFor('acme')
    const all = [ana, await tokenFor('acme', { sub: 'bob' })].map((token) => get(path, token))
    await aboard(gateway, path, ana, 2)
    letGo()
    const replies = await Promise.all(all)
    assert.deepEqual(
      replies.map(({ status }) => status),
      [422, 422],
    )
    assert.equal(replies.filter(({ headers }) => headers['set-cookie'] !== undefined).length, 1)
  })

  test('that says no to one is not the answer of those who waited with him', async () => {
    const { path, arrived, letGo } = holdQuestion(
      origin,
      (n, res) => void (n === 1 ? res.writeHead(403).end('not you') : res.end('welcome')),
      '/api/tenant',
    )
    const [bob, ana] = [await tokenFor('acme', { sub: 'bob' }), await tokenFor('acme')]
    const first = get(path, bob)
    await arrived(1)
    const second = get(path, ana)
    await aboard(gateway, path, ana, 2)
    letGo()
    assert.deepEqual([(await first).status, (await first).body], [403, 'not you'])
    assert.deepEqual([(await second).status, (await second).body], [200, 'welcome'])
  })

  for (const [tenant, code] of [
    ['elsewhere', 'TENANT_UNKNOWN'],
    ['Acme', 'TENANT_UNKNOWN'],
    ['acme ', 'TENANT_UNKNOWN'],
    ['acme\r\nx-principal-id: root', 'TENANT_UNKNOWN'],
    ['../acme', 'TENANT_UNKNOWN'],
    ['__proto__', 'TENANT_UNKNOWN'],
    ['constructor', 'TENANT_UNKNOWN'],
    ['', 'TENANT_UNKNOWN'],
    ['resting', 'TENANT_PAUSED'],
  ] as const) {
    test(`to tenant ${JSON.stringify(tenant)} is ${code}, with and without a cache`, async () => {
      const seenBefore = origin.seen.length
      for (const path of [question('principal'), '/proxied/x']) {
        const reply = await get(path, await tokenFor(tenant))
        assert.deepEqual([reply.status, JSON.parse(reply.body).code], [403, code])
      }
      assert.equal(origin.seen.length, seenBefore)
    })
  }

  for (const sub of ['ana\r\nX-Evil: 1', 'ana\u0000', ' ana', 'ana ', '', 'x'.repeat(300)]) {
    test(`to principal ${JSON.stringify(sub).slice(0, 24)} is TOKEN_INVALID`, async () => {
      const reply = await get(question('principal'), await tokenFor('acme', { sub }))
      assert.deepEqual([reply.status, JSON.parse(reply.body).code], [401, 'TOKEN_INVALID'])
    })
  }
})

const FITTING = { sub: 'ana', tenant: 'acme', iss: 'https://login.example', aud: 'sluice' }
const inSeconds = (seconds: number) => Math.floor(Date.now() / 1_000) + seconds
const good = { ...FITTING, exp: inSeconds(600) }
const signed = (claims: Record<string, unknown>, header: Record<string, unknown> = {}) =>
  mint(claims, { secret: SECRET, header })

/** Whatever the unit tests of src/tenancy know of, once more through the real door. */
const ATTACKS: [string, string, string?][] = [
  ...['none', 'None', 'NONE', 'nOnE'].map((alg): [string, string] => [`alg ${alg}`, forge({ alg }, good)]),
  ['alg none over a right signature', signed(good, { alg: 'none' })],
  ['an algorithm beside the allow-list', mint(good, { secret: SECRET, alg: 'HS512' })],
  ['another secret', mint(good, { secret: 'another secret, also of more than thirty-two bytes' })],
  ['a kid that is a path', mint(good, { secret: '', header: { kid: '../../../../dev/null' } })],
  ['a kid that is SQL', mint(good, { secret: 'k', header: { kid: "x' UNION SELECT 'k" } })],
  ['an embedded jwk', signed(good, { jwk: { kty: 'oct', k: 'AAAA' } })],
  ['an x5u', signed(good, { x5u: 'https://evil.example/cert.pem' })],
  ['a crit', signed(good, { crit: ['exp'] })],
  ['not yet valid', signed({ ...good, nbf: inSeconds(60) })],
  ['another aud', signed({ ...good, aud: 'elsewhere' })],
  ['another iss', signed({ ...good, iss: 'https://evil.example' })],
  ['truncated', signed(good).slice(0, -5)],
  ['20 KB long', signed({ ...good, pad: 'x'.repeat(15_000) })],
  ['a JWE', 'eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA'],
  ['expired', signed({ ...good, exp: inSeconds(-60) }), 'TOKEN_EXPIRED'],
]

describe('a token at the real door', () => {
  const open = new AsyncDisposableStack()
  let origin: Origin
  let gateway: TestGateway
  let rsaGateway: TestGateway
  let rsa: TestKey
  before(async () => {
    origin = open.use(await startOrigin(whoAsks))
    rsa = await generateTestKey('RS256')
    const demands = { issuer: FITTING.iss, audience: FITTING.aud }
    const bySecret = { issuers: [issuer(demands)] }
    const { secret: _, ...unsigned } = issuer(demands)
    const byKey = { issuers: [{ ...unsigned, algorithms: ['RS256'], publicKey: rsa.pem }] }
    const start = (auth: object) => startGateway(configFor(origin.url, { routes: ROUTES, tenants: TENANTS, auth }))
    ;[gateway, rsaGateway] = await Promise.all([start(bySecret), start(byKey)])
    open.use(gateway)
    open.use(rsaGateway)
  })
  after(() => open.disposeAsync())

  const get = (at: TestGateway, headers: Record<string, string | string[]>) =>
    ask(at.url, { path: '/api/principal/x', headers })
  const refusals = (at: TestGateway, code: string) => at.metric('sluice_refusals_total', { code })

  test('that is good is let in', async () => {
    assert.equal((await get(gateway, bearer(signed(good)))).status, 200)
    assert.equal((await get(rsaGateway, bearer(await mintBy(rsa, good)))).status, 200)
  })

  for (const [what, token, code = 'TOKEN_INVALID'] of ATTACKS) {
    test(`that is ${what} is ${code}, counted, and never reaches the upstream`, async () => {
      const [countBefore, seenBefore] = [await refusals(gateway, code), origin.seen.length]
      for (const path of ['/api/principal/x', '/proxied/x']) {
        const reply = await ask(gateway.url, { path, headers: bearer(token) })
        assert.deepEqual([reply.status, JSON.parse(reply.body).code], [401, code])
        assert.match(String(reply.headers['www-authenticate']), /^Bearer .*error="invalid_token"/)
        assert.equal(reply.headers['cache-control'], 'no-store')
      }
      assert.equal((await refusals(gateway, code)) - countBefore, 2)
      assert.equal(origin.seen.length, seenBefore)
    })
  }

  test('signed with the public key as if that were a secret is TOKEN_INVALID', async () => {
    for (const token of [mint(good, { secret: rsa.pem }), mint(good, { secret: rsa.pem, header: { alg: 'RS256' } })]) {
      const reply = await get(rsaGateway, bearer(token))
      assert.deepEqual([reply.status, JSON.parse(reply.body).code], [401, 'TOKEN_INVALID'])
    }
    assert.equal(await refusals(rsaGateway, 'TOKEN_INVALID'), 2)
  })

  for (const [what, headers] of [
    ['twice', { authorization: [`Bearer ${signed(good)}`, `Bearer ${signed(good)}`] }],
    ['beside another one', { ...bearer(signed(good)), cookie: `access_token=${signed({ ...good, sub: 'bob' })}` }],
    ['beside two cookies', { cookie: `access_token=${signed(good)}; access_token=${signed({ ...good, sub: 'bob' })}` }],
  ] as const) {
    test(`${what} is TOKEN_INVALID, not a choice`, async () => {
      const reply = await get(gateway, headers as Record<string, string | string[]>)
      assert.deepEqual([reply.status, JSON.parse(reply.body).code], [401, 'TOKEN_INVALID'])
    })
  }

  test('of 100 KB is TOKEN_INVALID, counted, before anything in it is read', async () => {
    const countBefore = await refusals(gateway, 'TOKEN_INVALID')
    const reply = await get(gateway, bearer(signed({ ...good, pad: 'x'.repeat(75_000) })))
    assert.deepEqual([reply.status, JSON.parse(reply.body).code], [401, 'TOKEN_INVALID'])
    assert.equal((await refusals(gateway, 'TOKEN_INVALID')) - countBefore, 1)
  })

  test('is told nobody, neither in a log nor in an answer', async () => {
    const token = signed({ ...good, sub: 'secretive' }, { kid: 'x' }).replace(/.$/, '')
    const reply = await get(gateway, bearer(token))
    await gateway.logged((line) => line.log === 'access' && line.id === reply.headers['x-request-id'])
    for (const part of token.split('.')) {
      assert.ok(!JSON.stringify(gateway.lines).includes(part))
      assert.ok(!reply.body.includes(part))
    }
  })
})

describe('thirty people at two gateways', () => {
  test('never see an answer that was made for somebody else', async () => {
    await using open = new AsyncDisposableStack()
    const origin = open.use(await startOrigin())
    const redis = open.use(await startRedis())
    const config = configFor(origin.url, {
      store: redisStore(redis.url, { commandTimeout: '2s' }),
      routes: IDENTITIES.slice(0, 3).map(routeOf),
      tenants: TENANTS,
    })
    const gateways = await Promise.all([startGateway(config), startGateway(config)])
    for (const gateway of gateways) open.use(gateway)
    // What the token says, as the upstream itself reads it.
    origin.answer((req, res) => {
      const claims = JSON.parse(Buffer.from(req.headers.authorization!.split('.')[1]!, 'base64url').toString())
      const { tenant, sub, rls } = claims
      const told = { tenant: req.headers['x-tenant-id'], sub: req.headers['x-principal-id'] }
      setTimeout(() => res.end(JSON.stringify({ tenant, sub, rls, told, url: req.url })), Math.random() * 20)
    })
    // Ten names in three tenants, each name with the same few scopes: all that could be confused.
    const people = await Promise.all(
      ['acme', 'globex', 'a-b'].flatMap((tenant) =>
        Array.from({ length: 10 }, async (_, n) => {
          const claims = { sub: `user${n}`, rls: [`region=${n % 3}`] }
          return { tenant, ...claims, token: await tokenFor(tenant, claims) }
        }),
      ),
    )
    const agent = new Agent({ keepAlive: true, maxSockets: 40 })
    open.defer(() => agent.destroy())
    const wishes = people.flatMap((person) =>
      Array.from({ length: 20 }, (_, n) => ({
        person,
        kind: IDENTITIES[n % 3]!,
        path: `/api/${IDENTITIES[n % 3]}/${n}`,
      })),
    )
    for (let round = 0; round < 2; round++) {
      const replies = await Promise.all(
        shuffled(wishes).map(async ({ person, kind, path }) => {
          const { url } = gateways[Math.floor(Math.random() * 2)]!
          return { person, kind, path, reply: await ask(url, { path, headers: bearer(person.token), agent }) }
        }),
      )
      for (const { person, kind, path, reply } of replies) assertHis(person, kind, path, reply)
    }
    const hits = await Promise.all(
      gateways.map((gateway) => gateway.metric('sluice_requests_total', { outcome: 'hit' })),
    )
    assert.ok(hits[0]! + hits[1]! > 0)
    // 7 questions by 30 people, 7 by 9 scopes, 6 by 3 tenants: each asked exactly once
    assert.equal(origin.seen.length, 7 * 30 + 7 * 9 + 6 * 3)
  })
})

interface Person {
  tenant: string
  sub: string
  rls: string[]
}

function assertHis(person: Person, kind: string, path: string, reply: Reply): void {
  assert.equal(reply.status, 200)
  const { tenant, sub, rls, told, url } = JSON.parse(reply.body)
  assert.equal(url, path)
  assert.deepEqual(told, { tenant, sub })
  assert.equal(tenant, person.tenant)
  if (kind !== 'tenant') assert.deepEqual(rls, person.rls)
  if (kind === 'principal') assert.equal(sub, person.sub)
}

const shuffled = <T>(items: readonly T[]): T[] =>
  items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
