import assert from 'node:assert/strict'
import { createSecretKey } from 'node:crypto'
import { before, describe, test } from 'node:test'
import { exportJWK, SignJWT } from 'jose'
import { forge, generateTestKey, mint, mintBy, mintText, type TestKey } from '../../test/support/tokens.ts'
import { CLAIMS, issuer, refusalOf, START_S, setup } from './tenancy.setup.test.ts'

const DEMANDING = issuer({ issuer: 'https://login.example', audience: 'sluice' })
const FITTING = { ...CLAIMS, iss: 'https://login.example', aud: 'sluice' }
const GOOD = mint(FITTING)

/** A token signed with the right secret whose header goes too far. */
const withHeader = (header: Record<string, unknown>) => mint(FITTING, { header })

const ATTACKS: readonly [string, string][] = [
  ...['none', 'None', 'NONE', 'nOnE'].flatMap((alg): [string, string][] => [
    [`alg ${alg} without a signature`, forge({ alg, typ: 'JWT' }, FITTING)],
    [`alg ${alg} with some signature`, forge({ alg, typ: 'JWT' }, FITTING, 'c2lnbmF0dXJl')],
    [`alg ${alg} over a right HMAC`, withHeader({ alg })],
  ]),
  ['no alg', withHeader({ alg: undefined })],
  ['an alg that is no string', withHeader({ alg: ['HS256'] })],
  ['an alg beside the allow-list', mint(FITTING, { alg: 'HS512' })],
  ['another secret', mint(FITTING, { secret: 'another secret, also of more than thirty-two bytes' })],
  ['an empty secret', mint(FITTING, { secret: '' })],
  ['a changed payload', swapPart(GOOD, 1, mint({ ...FITTING, sub: 'root' }))],
  ['a changed header', swapPart(GOOD, 0, withHeader({ kid: 'x' }))],
  ['an embedded jwk', withHeader({ jwk: { kty: 'oct', k: 'AAAA' } })],
  ['an x5u', withHeader({ x5u: 'https://evil.example/cert.pem' })],
  ['a jku', withHeader({ jku: 'https://evil.example/jwks.json' })],
  ['an x5c', withHeader({ x5c: ['MIIB'] })],
  ['a crit', withHeader({ crit: ['exp'] })],
  ['an empty crit', withHeader({ crit: [] })],
  ['an unencoded payload', withHeader({ b64: false, crit: ['b64'] })],
  ['a kid that is no string', withHeader({ kid: { $ne: null } })],
  ['a typ of another use', withHeader({ typ: 'logout+jwt' })],
  ['a typ that is no string', withHeader({ typ: 7 })],
  ['not yet valid', mint({ ...FITTING, nbf: START_S + 1 })],
  ['an aud of others', mint({ ...FITTING, aud: 'elsewhere' })],
  ['an aud list of others', mint({ ...FITTING, aud: ['elsewhere', 'sluice2'] })],
  ['no aud', mint({ ...FITTING, aud: undefined })],
  ['an iss of others', mint({ ...FITTING, iss: 'https://evil.example' })],
  ['no iss', mint({ ...FITTING, iss: undefined })],
  ['an iss that is a list', mint({ ...FITTING, iss: ['https://login.example'] })],
  ['an exp that is a string', mint({ ...FITTING, exp: '9999999999' })],
  ['an exp that is null', mint({ ...FITTING, exp: null })],
  ['an exp without end', mintText(JSON.stringify(FITTING).replace(/"exp":\d+/, '"exp":1e999'))],
  ['truncated in the signature', GOOD.slice(0, -5)],
  ['truncated before the signature', GOOD.slice(0, GOOD.lastIndexOf('.'))],
  ['truncated to an empty signature', GOOD.slice(0, GOOD.lastIndexOf('.') + 1)],
  ['a payload that is no JSON', mintText('{"sub":"alice"')],
  ['a payload that is a list', mintText('[1]')],
  ['a payload nested beyond any stack', mintText(`{"a":${'['.repeat(5_500)}${']'.repeat(5_500)}}`)],
  ['a JWE', 'eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA'],
  ['no token at all', 'sst_0123456789'],
  ['two tokens in one header', `${GOOD}, Bearer ${GOOD}`],
  ['a token of 100 KB', mint({ ...FITTING, pad: 'x'.repeat(100_000) })],
]

describe('attacks', () => {
  test('the token that the attacks vary is a good one', async () => {
    assert.equal((await setup([DEMANDING]).bearer(GOOD))?.principal, 'alice')
  })

  for (const [name, token] of ATTACKS) {
    test(`${name} is TOKEN_INVALID, said without the token`, async () => {
      const { bearer } = setup([DEMANDING])
      for (let round = 0; round < 2; round++) {
        const refusal = await refusalOf(() => bearer(token))
        assert.equal(refusal.code, 'TOKEN_INVALID')
        assert.ok(refusal.detail)
        for (const part of token.split('.').filter((part) => part.length > 8)) {
          assert.ok(!refusal.detail.includes(part))
        }
      }
    })
  }

  test('an unsigned token is called that', async () => {
    const { bearer } = setup([DEMANDING])
    const refusal = await refusalOf(() => bearer(forge({ alg: 'nONE' }, FITTING, 'c2ln')))
    assert.match(refusal.detail!, /unsigned/)
  })

  test('an expired token is TOKEN_EXPIRED', async () => {
    const { outcomeOf } = setup([DEMANDING])
    assert.equal(await outcomeOf(mint({ ...FITTING, exp: START_S })), 'TOKEN_EXPIRED')
  })

  for (const [name, lines] of [
    [
      'two Authorization lines',
      [
        ['Authorization', `Bearer ${GOOD}`],
        ['authorization', `Bearer ${GOOD}`],
      ],
    ],
    [
      'two lines of another credential header',
      [
        ['X-GuestToken', GOOD],
        ['x-guesttoken', GOOD],
      ],
    ],
    [
      'a Basic credential beside a token',
      [
        ['Authorization', 'Basic YTpi'],
        ['Cookie', `access_token=${GOOD}`],
      ],
    ],
    ['a Basic credential alone', [['Authorization', 'Basic YTpi']]],
    ['Bearer without a token', [['Authorization', 'Bearer']]],
    ['a tab for the blank after Bearer', [['Authorization', `Bearer\t${GOOD}`]]],
  ] as [string, [string, string][]][]) {
    test(`${name} is TOKEN_INVALID`, async () => {
      assert.equal(await setup([DEMANDING]).outcome(...lines), 'TOKEN_INVALID')
    })
  }
})

describe('attacks on public keys', () => {
  let rsa: TestKey
  before(async () => {
    rsa = await generateTestKey('RS256')
  })
  const setupRsa = () => setup([issuer({ algorithms: ['RS256'], publicKey: rsa.pem })])

  test('a token by the private key is accepted', async () => {
    assert.equal((await setupRsa().bearer(await mintBy(rsa, CLAIMS)))?.tenant, 'acme')
  })

  test('HS256 with the public key as its secret is refused, in every form of that key', async () => {
    const forms = [rsa.pem, rsa.pem.trim(), JSON.stringify(rsa.jwk), rsa.jwk.n!]
    for (const form of forms) assert.equal(await setupRsa().outcomeOf(mint(CLAIMS, { secret: form })), 'TOKEN_INVALID')
    const der = createSecretKey(Buffer.from(rsa.pem.replace(/-----.*-----|\s/g, ''), 'base64'))
    assert.equal(await setupRsa().outcomeOf(mint(CLAIMS, { secret: der })), 'TOKEN_INVALID')
  })

  test('an RS256 header over an HMAC with the public key is refused', async () => {
    const token = mint(CLAIMS, { secret: rsa.pem, header: { alg: 'RS256' } })
    assert.equal(await setupRsa().outcomeOf(token), 'TOKEN_INVALID')
  })

  test('a key of the attacker in the token is refused although it signed the token', async () => {
    const own = await generateTestKey('RS256')
    assert.equal(await setupRsa().outcomeOf(await mintBy(own, CLAIMS, { jwk: own.jwk })), 'TOKEN_INVALID')
    assert.equal(await setupRsa().outcomeOf(await mintBy(own, CLAIMS)), 'TOKEN_INVALID')
  })

  for (const kid of [
    '../../../../dev/null',
    '/proc/sys/kernel/randomize_va_space',
    "x' UNION SELECT 'k",
    '',
    'toString',
    '__proto__',
  ]) {
    test(`kid ${JSON.stringify(kid)} opens no key of a published set`, async () => {
      const jwk = await exportJWK(createSecretKey(Buffer.alloc(32)))
      const fetchJwks = async () => ({
        keys: [
          { ...rsa.jwk, kid: 'real' },
          { ...jwk, kid, alg: 'HS256' },
        ],
      })
      const { outcomeOf, tenancy } = setup([issuer({ algorithms: ['RS256'], jwksUri: 'https://idp.example/jwks' })], {
        fetchJwks,
      })
      const own = await generateTestKey('RS256')
      assert.equal(await outcomeOf(await mintBy(own, CLAIMS, { kid })), 'TOKEN_INVALID')
      assert.equal(await outcomeOf(await mintBy(rsa, CLAIMS, { kid })), 'TOKEN_INVALID')
      const symmetric = await new SignJWT(CLAIMS).setProtectedHeader({ alg: 'HS256', kid }).sign(Buffer.alloc(32))
      assert.equal(await outcomeOf(symmetric), 'TOKEN_INVALID')
      tenancy.close()
    })
  }
})

describe('mistakes of the configuration', () => {
  for (const [name, options, message] of [
    ['none among the algorithms', { algorithms: ['none'] }, /none cannot be verified/],
    ['HS256 beside a public key', { algorithms: ['RS256', 'HS256'], jwksUri: 'https://idp.example/' }, /HS256/],
    ['RS256 beside a secret', { algorithms: ['HS256', 'RS256'] }, /RS256 cannot be verified by a secret/],
    ['no algorithm', { algorithms: [] }, /no algorithm/],
    ['an empty secret', { secret: '' }, /empty/],
    ['two kinds of key', { secret: 'x', jwksUri: 'https://idp.example/' }, /exactly one/],
    ['a file for a key set', { algorithms: ['RS256'], jwksUri: 'file:///etc/passwd' }, /file: is not fetched/],
    ['a public key that is none', { algorithms: ['RS256'], publicKey: 'x' }, /PEM/],
    ['a private key', { algorithms: ['RS256'], publicKey: '-----BEGIN PRIVATE KEY-----' }, /private key/],
    ['a place that is none', { credentials: ['query:token'] }, /query:token/],
    ['the whole Cookie header as a place', { credentials: ['header:Cookie'] }, /header:Cookie/],
  ] as const) {
    test(`${name} is refused at start, with the issuer's name`, () => {
      assert.throws(
        () => setup([issuer(options)]),
        (error: Error) => {
          assert.match(error.message, /^issuer main: /)
          assert.match(error.message, message)
          return true
        },
      )
    })
  }

  test('a token without a claim that is required, or with another value of it, is refused', async () => {
    const { outcome } = setup([issuer({ requireClaims: { type: 'access', 'user.active': true } })])
    const by = (claims: object) => outcome(['Authorization', `Bearer ${mint({ ...CLAIMS, ...claims })}`])
    assert.equal(await by({ type: 'refresh', user: { active: true } }), 'TOKEN_INVALID')
    assert.equal(await by({ user: { active: true } }), 'TOKEN_INVALID')
    assert.equal(await by({ type: 'access', user: { active: 'true' } }), 'TOKEN_INVALID')
    assert.equal(typeof (await by({ type: 'access', user: { active: true } })), 'object')
  })

  test('a key too weak or of another type than its algorithm is refused at start', async () => {
    const weak = await crypto.subtle.generateKey(
      { name: 'RSASSA-PKCS1-v1_5', modulusLength: 1024, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' },
      true,
      ['sign', 'verify'],
    )
    const der = Buffer.from(await crypto.subtle.exportKey('spki', weak.publicKey)).toString('base64')
    const publicKey = `-----BEGIN PUBLIC KEY-----\n${der}\n-----END PUBLIC KEY-----\n`
    assert.throws(() => setup([issuer({ algorithms: ['RS256'], publicKey })]), /1024 bits/)
    const ec = await generateTestKey('ES256')
    assert.throws(() => setup([issuer({ algorithms: ['RS256'], publicKey: ec.pem })]), /type prime256v1/)
    assert.throws(() => setup([issuer({ algorithms: ['ES384'], publicKey: ec.pem })]), /type prime256v1/)
  })
})

/** The token with one of its three parts taken from another. */
function swapPart(token: string, index: number, from: string): string {
  return token.split('.').with(index, from.split('.')[index]!).join('.')
}
