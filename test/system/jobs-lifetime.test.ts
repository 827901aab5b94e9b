import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { zstdDecompressSync } from 'node:zlib'
import { mintToken } from '../../src/cli/token.ts'
import { tokenFor } from '../support/client.ts'
import { configFor, SECRET, upstream, WIDE } from '../support/config.ts'
import { type Argument, converse } from '../support/engine.ts'
import { type Held, startGate } from '../support/gate.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { JobClient, openStore, type StoreKind, type TestStore } from '../support/jobs.ts'
import type { TestRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'

const jobsRoute = (more: Record<string, unknown> = {}) => ({
  ...{ name: 'jobs', match: { path: '/jobs/:id' }, mode: 'queue', idempotent: true },
  ...more,
})

let made = 0
const named = () => `q${++made}`

const answer = (body: string) => (res: ServerResponse) => void res.end(body)

for (const kind of ['embedded', 'redis'] as const satisfies StoreKind[]) {
  describe(`jobs of a process (${kind})`, { concurrency: false }, () => {
    /** Gateways one after the other, on one store; a tenant runs two at a time. */
    const setup = async (open: AsyncDisposableStack, settings: Record<string, unknown> = {}) => {
      const gate = open.use(await startGate())
      const store = await openStore(kind, open)
      const config = ({ credentialKey = undefined as unknown, upstreams = settings } = {}) =>
        configFor(gate.url, {
          store: store.settings,
          upstreams: { main: upstream(gate.url, { credentials: 'strip', ...upstreams }) },
          routes: [jobsRoute(credentialKey === undefined ? {} : { submit: { credentialKey } })],
          tenants: { unknown: 'default', default: { ...WIDE, maxConcurrentQueries: 2 } },
        })
      const token = await tokenFor('acme')
      const start = async (how: Parameters<typeof config>[0] = {}) => open.use(await startGateway(config(how)))
      const change = async (gateway: TestGateway, how: Parameters<typeof config>[0]) => {
        const linesBefore = gateway.lines.length
        writeFileSync(gateway.configFile, config(how))
        await gateway.logged((line) => gateway.lines.indexOf(line) >= linesBefore && line.msg === 'config reloaded')
      }
      return { gate, store, token, start, change }
    }

    test('are told how long they will wait, and it is so', async () => {
      await using open = new AsyncDisposableStack()
      const { gate, token, start } = await setup(open)
      const client = new JobClient((await start()).url, token)
      gate.letGo(undefined, (res) => setTimeout(() => res.end(), 200))
      const names = Array.from({ length: 48 }, named)
      const ids: string[] = []
      for (const name of names) ids.push((await client.submit(`/jobs/${name}`, {})).id)
      await gate.arrival(names[19]!)
      const sampledAt = Date.now()
      const sampled = await Promise.all([24, 32, 40, 47].map((n) => client.look(ids[n]!)))
      for (const { id, position, estimatedWaitMs } of sampled) {
        const waitedMs = Date.parse((await client.ended(id)).startedAt!) - sampledAt
        const told = `position ${position}: ${estimatedWaitMs} ms told, ${waitedMs} ms waited`
        assert.ok(estimatedWaitMs! <= 2 * waitedMs && estimatedWaitMs! >= waitedMs / 2, told)
      }
    })

    describe('one after the other', { concurrency: 3 }, () => {
      test('run to their end when it is told to stop, and those in line run in the next one', async () => {
        await using open = new AsyncDisposableStack()
        const { gate, token, start } = await setup(open)
        const first = await start()
        const client = new JobClient(() => current.url, token)
        let current = first
        const jobs = await Promise.all(['a', 'b', 'c'].map(() => client.submit(`/jobs/${named()}`, {})))
        await until(() => gate.asked.length === 2, 'two at the origin')
        const [one, two] = gate.asked as [Held, Held]
        const stopped = first.stop()
        await until(() => isDown(first.url), 'the door being closed')
        one.letGo(answer('to its end'))
        two.letGo(answer('to its end'))
        assert.equal(await stopped, 0)
        assert.equal(gate.asked.length, 2, 'nothing new was begun')
        current = await start()
        gate.letGo(undefined, answer('in the next'))
        const bodies = []
        for (const { id } of jobs) {
          assert.equal((await client.ended(id)).attempt, 1)
          bodies.push((await client.result(id)).body)
        }
        assert.deepEqual(bodies.toSorted(), ['in the next', 'to its end', 'to its end'])
      })

      test('get the caller’s own credential, which stands nowhere in the clear', async () => {
        await using open = new AsyncDisposableStack()
        const { gate, store, token, start } = await setup(open, { credentials: 'forward' })
        const client = new JobClient((await start({ credentialKey: KEYS[0] })).url, token)
        const names = Array.from({ length: 3 }, named)
        const ids: string[] = []
        for (const name of names) ids.push((await client.submit(`/jobs/${name}`, { filler: 'x'.repeat(2_000) })).id)
        await gate.arrival(names[1]!)
        const kept = await everythingIn(store)
        const holds = (text: string) => kept.some((bytes) => bytes.includes(text))
        assert.ok(holds(ids[2]!) && holds(`/jobs/${names[2]}`) && holds('x'.repeat(2_000)), 'it has been looked at')
        const [head, claims, signature] = token.split('.') as [string, string, string]
        const key = KEYS[0]!
        for (const secret of [head, claims, signature, 'Bearer', key]) assert.ok(!holds(secret), secret)
        gate.letGo()
        for (const id of ids) assert.equal((await client.ended(id)).status, 'succeeded')
        const after = await everythingIn(store)
        assert.ok(!after.some((bytes) => bytes.includes(signature)))
        assert.deepEqual([...new Set(gate.asked.map(({ seen }) => seen.headers.authorization))], [`Bearer ${token}`])
      })

      test('are not run with a credential that has expired meanwhile', async () => {
        await using open = new AsyncDisposableStack()
        const { gate, token, start } = await setup(open, { credentials: 'forward' })
        const { url } = await start({ credentialKey: KEYS[0] })
        const client = new JobClient(url, token)
        const brief = new JobClient(
          url,
          await mintToken({ ...MINT, claims: { sub: 'ana', tenant: 'acme' }, ttlMs: 1_500 }),
        )
        const expiresAt = JSON.parse(Buffer.from(brief.token.split('.')[1]!, 'base64url').toString()).exp * 1_000
        for (const name of ['a', 'b']) await client.submit(`/jobs/${name}`, {})
        await gate.arrival('b')
        const { id } = await brief.submit('/jobs/expired', {})
        await until(() => Date.now() > expiresAt, 'the end of the token')
        gate.letGo()
        const ended = await client.ended(id)
        assert.deepEqual([ended.status, ended.error?.code], ['failed', 'TOKEN_EXPIRED'])
        assert.deepEqual(gate.names(), ['a', 'b'])
      })

      test('open what another key has sealed as long as that is listed', async () => {
        await using open = new AsyncDisposableStack()
        const { gate, token, start, change } = await setup(open, { credentials: 'forward' })
        const gateway = await start({ credentialKey: KEYS[0] })
        const client = new JobClient(gateway.url, token)
        const ids: string[] = []
        for (const name of ['a', 'b', 'listed']) ids.push((await client.submit(`/jobs/${name}`, {})).id)
        await gate.arrival('b')
        await change(gateway, { credentialKey: [KEYS[1], KEYS[0]] })
        ids.push((await client.submit('/jobs/new', {})).id)
        ids.push((await client.submit('/jobs/late', {})).id)
        gate.letGo('a')
        const listed = await gate.arrival('listed')
        assert.equal(listed.seen.headers.authorization, `Bearer ${token}`)
        await change(gateway, { credentialKey: KEYS[2] })
        gate.letGo()
        for (const id of ids.slice(0, 3)) assert.equal((await client.ended(id)).status, 'succeeded')
        for (const id of ids.slice(3)) assert.equal((await client.ended(id)).error?.code, 'TOKEN_INVALID')
        assert.deepEqual(gate.names(), ['a', 'b', 'listed'])
      })
    })
  })
}

describe('jobs of a process', { concurrency: 2 }, () => {
  test('that was killed all run in the next one on its folder (embedded)', async () => {
    await using open = new AsyncDisposableStack()
    const gate = open.use(await startGate())
    const { settings: store } = await openStore('embedded', open)
    const config = configFor(gate.url, {
      store,
      upstreams: { main: upstream(gate.url, { credentials: 'strip' }) },
      routes: [jobsRoute()],
      tenants: { unknown: 'default', default: { ...WIDE, maxConcurrentQueries: 2 } },
    })
    const killed = open.use(await startGateway(config))
    const token = await tokenFor('acme')
    const before = new JobClient(killed.url, token)
    const jobs = await Promise.all(Array.from({ length: 22 }, () => before.submit(`/jobs/${named()}`, {})))
    await until(() => gate.asked.length === 2, 'two at the origin')
    await killed[Symbol.asyncDispose]()
    const client = new JobClient(open.use(await startGateway(config)).url, token)
    gate.letGo()
    const ended = await Promise.all(jobs.map(({ id }) => client.ended(id)))
    assert.deepEqual([...new Set(ended.map(({ status }) => status))], ['succeeded'])
    assert.equal(ended.filter(({ attempt }) => attempt === 2).length, 2)
    assert.equal(gate.asked.length, 24)
  })

  test('are not taken by a route that would keep a credential in the clear', async () => {
    const config = configFor('http://127.0.0.1:9', {
      upstreams: { main: upstream('http://127.0.0.1:9', { credentials: 'forward' }) },
      routes: [jobsRoute()],
    })
    await assert.rejects(startGateway(config), /routes\[0\]\.submit\.credentialKey: is missing/)
  })
})

const KEYS = [
  'a first key to seal with, of good length',
  'a second key to seal with, of good length',
  'a third…'.repeat(8),
]
const MINT = { secret: SECRET, alg: 'HS256' }

const isDown = (url: string): Promise<boolean> =>
  fetch(url).then(
    () => false,
    () => true,
  )

/** All that is stored, names too, as it stands there and, where it is packed, unpacked. */
async function everythingIn({ dir, redis }: TestStore): Promise<Buffer[]> {
  const kept = redis ? await valuesOf(redis) : rowsOf(dir)
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((file) => file.isFile())
  kept.push(...files.map((file) => readFileSync(join(file.parentPath, file.name))))
  return [...kept, ...kept.flatMap(unpacked)]
}

const READ: Record<string, (key: Buffer) => [string, ...Argument[]]> = {
  string: (key) => ['GET', key],
  hash: (key) => ['HGETALL', key],
  zset: (key) => ['ZRANGE', key, 0, -1],
  set: (key) => ['SMEMBERS', key],
  list: (key) => ['LRANGE', key, 0, -1],
}

const valuesOf = ({ port }: TestRedis): Promise<Buffer[]> =>
  converse(port, async (redis) => {
    const [, keys] = (await redis.callBuffer('SCAN', 0, 'COUNT', 1_000_000)) as [Buffer, Buffer[]]
    const kept = [...keys]
    for (const key of keys) {
      const [name, ...args] = READ[String(await redis.call('TYPE', key))]!(key)
      kept.push(...[await redis.callBuffer(name, args)].flat().filter((value) => Buffer.isBuffer(value)))
    }
    return kept
  })

/** Of a copy: the gateway has the database to itself. */
function rowsOf(dir: string): Buffer[] {
  const copy = mkdtempSync(join(tmpdir(), 'sluice-copy-'))
  using _ = { [Symbol.dispose]: () => rmSync(copy, { recursive: true }) }
  cpSync(dir, copy, { recursive: true })
  using db = new DatabaseSync(join(copy, 'jobs.sqlite'))
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all()
  return tables.flatMap(({ name }) =>
    db
      .prepare(`SELECT * FROM "${name}"`)
      .all()
      .flatMap((row) => Object.values(row))
      .map((value) => (value instanceof Uint8Array ? Buffer.from(value) : Buffer.from(String(value)))),
  )
}

const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])

function unpacked(bytes: Buffer): Buffer[] {
  const at = bytes.indexOf(ZSTD)
  try {
    return at >= 0 && at < 100 ? [zstdDecompressSync(bytes.subarray(at))] : []
  } catch {
    return []
  }
}
