import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { generateTestKey, mint, mintBy } from '../../test/support/tokens.ts'
import type { Caller } from '../kernel/exchange.ts'
import { CLAIMS, issuer, refusalOf, START_AT, START_S, setup } from './tenancy.setup.test.ts'

const OTHER_SECRET = 'the secret of the other issuer, also long enough'

describe('algorithms', () => {
  for (const alg of ['HS256', 'HS384', 'HS512'] as const) {
    test(`${alg} by its secret`, async () => {
      assert.equal((await setup([issuer({ algorithms: [alg] })]).bearer(mint(CLAIMS, { alg })))?.principal, 'alice')
    })
  }

  for (const alg of ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA']) {
    test(`${alg} by its public key`, async () => {
      const key = await generateTestKey(alg)
      const { bearer } = setup([issuer({ algorithms: [alg], publicKey: key.pem })])
      const caller = await bearer(await mintBy(key, CLAIMS))
      assert.deepEqual(caller, {
        tenant: 'acme',
        principal: 'alice',
        scopeDigest: '',
        issuer: 'main',
        expiresAt: START_AT + 60_000,
      })
    })
  }

  test('one RSA key serves RS256 and PS256 if both are allowed, and only then', async () => {
    const key = await generateTestKey('PS256')
    const token = await mintBy(key, CLAIMS)
    const both = setup([issuer({ algorithms: ['RS256', 'PS256'], publicKey: key.pem })])
    assert.equal((await both.bearer(token))?.principal, 'alice')
    assert.equal(await setup([issuer({ algorithms: ['RS256'], publicKey: key.pem })]).outcomeOf(token), 'TOKEN_INVALID')
  })
})

describe('where tokens stand', () => {
  const token = mint(CLAIMS)
  const other = mint({ ...CLAIMS, sub: 'bob' })

  test('a request without a credential is nobody, at once', () => {
    const { identify } = setup()
    assert.equal(identify(), null)
    assert.equal(identify(['Cookie', 'session=abc; access_token='], ['X-GuestToken', '']), null)
  })

  for (const [name, line] of [
    ['Authorization, in any case and with blanks', ['AUTHORIZATION', `bEaReR   ${token}`]],
    ['a header of its own, bare', ['X-GuestToken', token]],
    ['a header of its own, with a scheme', ['X-GuestToken', `Bearer ${token}`]],
    ['a cookie among others', ['Cookie', `a=b; access_token=${token}; c=d`]],
    ['a cookie in quotes', ['Cookie', `access_token="${token}"`]],
  ] as [string, [string, string]][]) {
    test(`a token is found in ${name}`, async () => {
      assert.equal(((await setup().outcome(line)) as Caller).principal, 'alice')
    })
  }

  test('the same token in every place is one token', async () => {
    const lines: [string, string][] = [
      ['Authorization', `Bearer ${token}`],
      ['X-GuestToken', token],
      ['Cookie', `access_token=${token}; access_token=${token}`],
    ]
    assert.equal(((await setup().outcome(...lines)) as Caller).principal, 'alice')
  })

  for (const [name, lines] of [
    [
      'two headers',
      [
        ['Authorization', `Bearer ${token}`],
        ['X-GuestToken', other],
      ],
    ],
    [
      'a header and a cookie',
      [
        ['Authorization', `Bearer ${token}`],
        ['Cookie', `access_token=${other}`],
      ],
    ],
    ['two cookies of one name', [['Cookie', `access_token=${token}; access_token=${other}`]]],
    [
      'two Cookie lines',
      [
        ['Cookie', `access_token=${token}`],
        ['cookie', `access_token=${other}`],
      ],
    ],
    [
      'a header and a cookie with rubbish',
      [
        ['Authorization', `Bearer ${token}`],
        ['Cookie', 'access_token=x'],
      ],
    ],
  ] as [string, [string, string][]][]) {
    test(`two different tokens in ${name} are an error, not a choice`, async () => {
      const { outcome, bearer } = setup()
      await bearer(token) // that one of them is remembered makes no difference
      assert.equal(await outcome(...lines), 'TOKEN_INVALID')
    })
  }

  test('names of headers are told in lower case, names of cookies as they are', () => {
    const { tenancy } = setup([issuer({ credentials: ['header:X-Token', 'cookie:Sid'] }), issuer({ name: 'b' })])
    assert.deepEqual([...tenancy.credentialHeaders], ['x-token', 'authorization', 'x-guesttoken'])
    assert.deepEqual([...tenancy.credentialCookies], ['Sid', 'access_token'])
  })
})

describe('which issuer', () => {
  const ISSUERS = [
    issuer({ name: 'named', issuer: 'https://a.example' }),
    issuer({ name: 'open', secret: OTHER_SECRET }),
    issuer({ name: 'guests', credentials: ['header:x-guesttoken'], principal: { value: 'guest' } }),
  ]

  for (const [name, line, expected] of [
    ['its iss names one', ['Authorization', mint({ ...CLAIMS, iss: 'https://a.example' })], 'named'],
    ['it has no iss', ['Authorization', mint(CLAIMS, { secret: OTHER_SECRET })], 'open'],
    ['no issuer demands its iss', ['Authorization', mint({ ...CLAIMS, iss: 'x' }, { secret: OTHER_SECRET })], 'open'],
    ['the first that demands no iss does not know it', ['X-GuestToken', mint(CLAIMS)], 'guests'],
  ] as [string, [string, string], string][]) {
    test(`a token is verified where ${name}`, async () => {
      const [header, token] = line
      assert.equal(((await setup(ISSUERS).outcome([header, `Bearer ${token}`])) as Caller).issuer, expected)
    })
  }

  test('an issuer that demands an iss does not verify a token without one, and no other verifies a token that names it', async () => {
    const { outcomeOf } = setup(ISSUERS)
    assert.equal(await outcomeOf(mint(CLAIMS)), 'TOKEN_INVALID')
    const foreign = mint({ ...CLAIMS, iss: 'https://a.example' }, { secret: OTHER_SECRET })
    assert.equal(await outcomeOf(foreign), 'TOKEN_INVALID')
  })

  test('a token remembered at one place is not accepted at a place where its issuer may not carry it', async () => {
    const { outcome, bearer } = setup(ISSUERS)
    const token = mint(CLAIMS)
    assert.equal(((await outcome(['X-GuestToken', token])) as Caller).issuer, 'guests')
    await assert.rejects(async () => bearer(token), { code: 'TOKEN_INVALID' })
    assert.equal(((await outcome(['X-GuestToken', token])) as Caller).issuer, 'guests')
  })

  test('of several refusals the most telling is given', async () => {
    const { outcome } = setup(ISSUERS)
    assert.equal(await outcome(['X-GuestToken', mint({ ...CLAIMS, exp: START_S - 1 })]), 'TOKEN_EXPIRED')
    assert.equal(await outcome(['X-GuestToken', mint({ ...CLAIMS, tenant: 'ACME' })]), 'TENANT_UNKNOWN')
  })

  test('a token that no issuer is for is refused', async () => {
    const refusal = await refusalOf(() => setup([ISSUERS[0]!]).bearer(mint({ ...CLAIMS, iss: 'x' })))
    assert.match(refusal.detail!, /no issuer/)
  })
})
