import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { mintToken } from '../../src/cli/token.ts'
import { type Reply, tokenFor } from '../support/client.ts'
import { configFor, issuer, upstream, WIDE } from '../support/config.ts'
import { type Gate, startGate } from '../support/gate.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { codeOf, JobClient, openStore, type StoreKind } from '../support/jobs.ts'

const OTHER_SECRET = 'a-secret-of-another-issuer-for-tests-only'
const OTHER_ISSUER = 'https://other.example'

const ROUTES = [
  { name: 'jobs', match: { path: '/jobs/:id' }, mode: 'queue' },
  { name: 'kept', match: { path: '/kept/:id' }, mode: 'queue', cache: {} },
]

let made = 0
const named = () => `q${++made}`

/** What a refusal says, but for the number of the request. */
const refusal = ({ status, headers, body }: Reply) => {
  const { requestId: _, ...problem } = JSON.parse(body)
  return { status, type: headers['content-type'], problem }
}

for (const kind of ['embedded', 'redis'] as const satisfies StoreKind[]) {
  describe(`a job is nobody else’s (${kind})`, () => {
    const open = new AsyncDisposableStack()
    let gate: Gate
    let gateways: TestGateway[]
    let config: (paused?: boolean) => string
    before(async () => {
      gate = open.use(await startGate())
      const { settings: store } = await openStore(kind, open)
      const issuers = [issuer(), issuer({ name: 'other', secret: OTHER_SECRET, issuer: OTHER_ISSUER })]
      config = (paused = false) =>
        configFor(gate.url, {
          store,
          auth: { issuers },
          upstreams: { main: upstream(gate.url, { credentials: 'strip' }) },
          routes: ROUTES,
          tenants: { unknown: 'default', default: WIDE, list: { sleepy: { paused } } },
        })
      gateways = await Promise.all(Array.from({ length: kind === 'redis' ? 2 : 1 }, () => startGateway(config())))
      for (const gateway of gateways) open.use(gateway)
    })
    after(() => open.disposeAsync())

    let turn = 0
    const as = (token: string) => new JobClient(() => gateways[turn++ % gateways.length]!.url, token)
    const client = async (tenant: string, claims: Record<string, unknown> = {}) => as(await tokenFor(tenant, claims))
    /** Everybody who is not ana of acme. */
    const strangers = async () => ({
      'another principal': await client('acme', { sub: 'bob' }),
      'a token without a principal': await client('acme', { sub: undefined }),
      'another tenant’s principal of that name': await client('globex'),
      'another tenant without a principal': await client('globex', { sub: undefined }),
      'a principal of that name of another issuer': as(
        await mintToken({
          ...{ secret: OTHER_SECRET, alg: 'HS256', ttlMs: 600_000 },
          claims: { sub: 'ana', tenant: 'acme', iss: OTHER_ISSUER },
        }),
      ),
    })
    /** All that can be asked of a job. */
    const everything = (client: JobClient, id: string, headers: Record<string, string> = {}) =>
      Promise.all([
        client.ask({ path: `/_sluice/jobs/${id}`, headers }),
        client.ask({ path: `/_sluice/jobs/${id}`, headers: { ...headers, prefer: 'wait=20' } }),
        client.ask({ path: `/_sluice/jobs/${id}`, headers: { ...headers, accept: 'text/event-stream' } }),
        client.ask({ path: `/_sluice/jobs/${id}/result`, headers }),
        client.ask({ method: 'DELETE', path: `/_sluice/jobs/${id}`, headers }),
      ])
    const notFound = async (client: JobClient, id: string, who: string, headers: Record<string, string> = {}) => {
      for (const reply of await everything(client, id, headers)) {
        assert.deepEqual([reply.status, codeOf(reply)], [404, 'JOB_NOT_FOUND'], who)
      }
    }

    test('neither while it runs nor when it has ended', async () => {
      const ana = await client('acme')
      const name = named()
      const { id } = await ana.submit(`/jobs/${name}`, {})
      const running = await gate.arrival(name)
      for (const [who, stranger] of Object.entries(await strangers())) {
        await notFound(stranger, id, who)
        assert.deepEqual((await stranger.list()).jobs, [], who)
        assert.deepEqual((await stranger.list(`?cursor=${Buffer.from(id).toString('base64url')}`)).jobs, [], who)
      }
      assert.equal((await ana.look(id)).status, 'running')
      running.letGo((res) => res.end('of ana'))
      assert.equal((await ana.ended(id)).status, 'succeeded')
      for (const [who, stranger] of Object.entries(await strangers())) {
        await notFound(stranger, id, who)
        assert.deepEqual((await stranger.list('?status=succeeded')).jobs, [], who)
      }
      assert.equal((await ana.result(id)).body, 'of ana')
      assert.deepEqual(
        (await ana.list()).jobs.map((job) => job.id),
        [id],
      )
    })

    test('is its owner’s by any token of his', async () => {
      const name = named()
      const { id } = await (await client('acme', { sub: 'eve' })).submit(`/jobs/${name}`, {})
      gate.letGo(name)
      const other = await client('acme', { sub: 'eve', jti: 'another' })
      assert.equal((await other.ended(id)).status, 'succeeded')
      assert.equal((await other.list()).jobs.length, 1)
    })

    test('belongs to no name where the token has none', async () => {
      const nobody = await client('initech', { sub: undefined })
      const name = named()
      const { id } = await nobody.submit(`/jobs/${name}`, {})
      gate.letGo(name)
      assert.equal((await nobody.ended(id)).status, 'succeeded')
      await notFound(await client('initech', { sub: undefined, rls: ['region=eu'] }), id, 'who sees other rows')
      for (const sub of ['-', 'none', 'null', 'undefined']) await notFound(await client('initech', { sub }), id, sub)
    })

    test('whatever headers say who asks', async () => {
      const ana = await client('acme')
      const name = named()
      const spoofed = { 'x-tenant-id': 'globex', 'x-principal-id': 'bob', x_tenant_id: 'globex' }
      const job = await ana.submit(`/jobs/${name}`, {}, spoofed)
      assert.equal(job.tenant, 'acme')
      const asked = await gate.arrival(name)
      assert.equal(asked.seen.headers['x-tenant-id'], 'acme')
      assert.equal(asked.seen.headers['x-principal-id'], 'ana')
      assert.ok(!JSON.stringify(asked.seen.rawHeaders).includes('globex'))
      asked.letGo()
      await ana.ended(job.id)
      const claimed = { 'x-tenant-id': 'acme', 'x-principal-id': 'ana' }
      for (const [who, stranger] of Object.entries(await strangers())) await notFound(stranger, job.id, who, claimed)
    })

    test('nor to be told from one that is not there', async () => {
      const name = named()
      const { id } = await (await client('acme')).submit(`/jobs/${name}`, {})
      await gate.arrival(name)
      gate.letGo(name)
      const stranger = await client('globex')
      const next = (step: number) => id.slice(0, -1) + '0123456789ABCDEFGHJKMNPQRSTVWXYZ'.at(step)!
      const guesses = Array.from({ length: 32 }, (_, step) => next(step))
      assert.ok(guesses.includes(id))
      const told = await Promise.all(guesses.map((guess) => everything(stranger, guess)))
      const ways = told[0]!.length
      for (let way = 0; way < ways; way++) {
        const answers = told.map((replies) => JSON.stringify(refusal(replies[way]!)))
        assert.deepEqual([...new Set(answers)].length, 1, 'all alike')
      }
      for (const path of [
        `acme/${id}`,
        `..%2Facme%2F${id}`,
        `${id}%00`,
        `*`,
        `${id}/../${id}`,
        `%6Aob_${id.slice(4)}`,
      ]) {
        const reply = await stranger.ask({ path: `/_sluice/jobs/${path}` })
        assert.ok(reply.status === 404 || reply.status === 400, `${path}: ${reply.status}`)
      }
    })

    test('nor are its answer and its Idempotency-Key', async () => {
      const name = named()
      const askers = { acme: await client('acme'), globex: await client('globex') }
      const ids: Record<string, string> = {}
      for (const [tenant, asker] of Object.entries(askers)) {
        ids[tenant] = (await asker.submit(`/kept/${name}`, { same: true }, { 'idempotency-key': 'same' })).id
      }
      const asked = await Promise.all([gate.arrival(name, 1), gate.arrival(name, 2)])
      for (const held of asked) held.letGo((res) => res.end(`of ${held.tenant}`))
      for (const [tenant, asker] of Object.entries(askers)) {
        assert.equal((await asker.ended(ids[tenant]!)).status, 'succeeded')
        assert.equal((await asker.result(ids[tenant]!)).body, `of ${tenant}`)
      }
    })

    test('of a paused tenant may be read and cancelled, while nothing new is taken', async () => {
      const sleepy = await client('sleepy')
      const [done, running, queued] = [named(), named(), named()]
      gate.letGo(done, (res) => res.end('done'))
      const ids: string[] = []
      for (const name of [done, running, queued]) {
        ids.push((await sleepy.submit(`/jobs/${name}`, {})).id)
        await gate.arrival(name)
      }
      await sleepy.ended(ids[0]!)
      for (const gateway of gateways) {
        writeFileSync(gateway.configFile, config(true))
        await gateway.logged((line) => line.msg === 'config reloaded')
      }
      const refused = await sleepy.post(`/jobs/${named()}`, {})
      assert.deepEqual([refused.status, codeOf(refused)], [403, 'TENANT_PAUSED'])
      assert.equal((await sleepy.list()).jobs.length, 3)
      assert.equal((await sleepy.result(ids[0]!)).body, 'done')
      assert.equal((await sleepy.look(ids[1]!)).status, 'running')
      const held = await gate.arrival(running)
      assert.equal((await sleepy.cancel(ids[1]!)).status, 'cancelled')
      assert.equal(await held.over, 'aborted')
      gate.letGo(queued, (res) => res.end('to its end'))
      assert.equal((await sleepy.ended(ids[2]!)).status, 'succeeded', 'what runs may end')
      assert.equal((await sleepy.result(ids[2]!)).body, 'to its end')
    })
  })
}
