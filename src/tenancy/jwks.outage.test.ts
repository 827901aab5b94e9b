import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { Script } from '../../test/support/origin.ts'
import { freePort } from '../../test/support/ports.ts'
import { generateTestKey, mintBy, type TestKey } from '../../test/support/tokens.ts'
import { COOLDOWN_MS, REFRESH_MS, RETRY_MS } from './jwks.ts'
import { asleep, CLAIMS, issuer, principal, publishing, refusalOf, setup, setupProvider } from './tenancy.setup.test.ts'

const UNDATED = { ...CLAIMS, exp: undefined }

let one: TestKey
let two: TestKey
before(async () => {
  one = await generateTestKey('ES256', 'one')
  two = await generateTestKey('ES256', 'two')
})

const FAULTS: readonly [string, Script][] = [
  ['an error', (_req, res) => void res.writeHead(500).end('{"keys":[]}')],
  ['a broken connection', (req) => void req.socket.destroy()],
  ['no answer in time', () => {}],
  ['a body that never ends in time', (_req, res) => void res.write('{"keys":[')],
  ['no JSON', (_req, res) => void res.end('<html>')],
  ['no key set', (_req, res) => void res.end('{"keys":"none"}')],
  ['too much', (_req, res) => void res.end(`{"keys":[],"pad":"${'x'.repeat(5_000)}"}`)],
  [
    'too much once unpacked',
    (_req, res) => void res.setHeader('content-encoding', 'gzip').end(gzipSync(`{"keys":[]${' '.repeat(1_000_000)}}`)),
  ],
  ['a redirect', (_req, res) => void res.writeHead(302, { location: '/elsewhere' }).end()],
  ['a redirect to a file', (_req, res) => void res.writeHead(302, { location: 'file:///etc/passwd' }).end()],
]

describe('an outage of the issuer', () => {
  for (const [name, script] of FAULTS) {
    test(`${name} leaves the last good keys in use`, async () => {
      await using idp = await setupProvider(publishing(one.jwk))
      const remembered = await mintBy(one, CLAIMS)
      await idp.bearer(remembered)
      idp.provider.answer(script)
      await idp.clock.advance(COOLDOWN_MS)
      assert.equal(await idp.outcomeOf(await mintBy(two, CLAIMS)), 'TOKEN_INVALID')
      assert.equal(idp.fetches(), 2)
      assert.equal((idp.faults[0] as [string, Error])[0], 'idp')
      assert.ok(!(idp.bearer(remembered) instanceof Promise))
      assert.equal(principal(await idp.outcomeOf(await mintBy(one, { ...CLAIMS, jti: 'new' }))), 'alice')
    })
  }

  test('at first use it is the issuer that is named unreachable, and asked once per cooldown until it answers', async () => {
    await using idp = await setupProvider(FAULTS[0]![1])
    const token = await mintBy(one, CLAIMS)
    for (let round = 0; round < 3; round++) {
      const refusal = await refusalOf(() => idp.bearer(token))
      assert.equal(refusal.code, 'UPSTREAM_UNREACHABLE')
      assert.match(refusal.detail!, /issuer idp/)
      assert.equal(refusal.retryAfterMs, COOLDOWN_MS)
    }
    assert.equal(idp.fetches(), 1)
    idp.provider.answer(publishing(one.jwk))
    await idp.clock.advance(COOLDOWN_MS)
    assert.equal(principal(await idp.outcomeOf(token)), 'alice')
  })

  test('nobody listening is an outage like any other', async () => {
    const jwksUri = `http://127.0.0.1:${await freePort()}/jwks`
    const { tenancy, outcomeOf } = setup([issuer({ algorithms: ['ES256'], jwksUri })])
    after(() => tenancy.close())
    assert.equal(await outcomeOf(await mintBy(one, CLAIMS)), 'UPSTREAM_UNREACHABLE')
  })

  test('tokens of other issuers and rubbish do not wait for it', async () => {
    await using idp = await setupProvider(() => {})
    assert.equal(await idp.outcomeOf('rubbish'), 'TOKEN_INVALID')
    assert.equal(await idp.outcomeOf(await mintBy(await generateTestKey('ES384'), CLAIMS)), 'TOKEN_INVALID')
    assert.equal(idp.fetches(), 0)
  })

  test('after a failed refresh the next one is soon', async () => {
    await using idp = await setupProvider(publishing(one.jwk))
    await idp.bearer(await mintBy(one, UNDATED))
    idp.provider.answer(FAULTS[0]![1])
    await idp.clock.advance(REFRESH_MS)
    await idp.provider.arrived(2)
    await asleep(idp.clock)
    idp.provider.answer(publishing(two.jwk))
    await idp.clock.advance(RETRY_MS)
    await idp.provider.arrived(3)
    await asleep(idp.clock)
    assert.equal(principal(await idp.outcomeOf(await mintBy(two, UNDATED))), 'alice')
    assert.equal(idp.fetches(), 3)
  })

  test('close ends the refreshing and a fetch under way', async () => {
    await using idp = await setupProvider(() => {})
    const refused = idp.outcomeOf(await mintBy(one, CLAIMS))
    await idp.provider.arrived(1)
    idp.tenancy.close()
    assert.equal(await refused, 'UPSTREAM_UNREACHABLE')
    assert.equal(idp.clock.sleeping, 0)
    assert.deepEqual(idp.faults, [])
  })
})
