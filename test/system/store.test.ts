import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { Redis } from 'ioredis'
import { operate } from '../support/admin.ts'
import { ask, type Reply, tokenFor } from '../support/client.ts'
import { configFor, getRoute, redisStore } from '../support/config.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { type Origin, startOrigin } from '../support/origin.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'

const ROUTES = [
  getRoute({ staleWhileRevalidate: '0s', staleIfError: '0s', earlyRefresh: { beta: 0 } }),
  { name: 'proxied', match: { path: '/proxied/*' }, mode: 'proxy' },
]
const TENANTS = {
  unknown: 'default',
  default: { requestsPerMinute: 0 },
  list: { tight: { requestsPerMinute: 60, burst: 4 } },
}

let made = 0
const question = () => `/api/report/s${++made}`

interface Bench {
  origin: Origin
  redis: TestRedis
  gateway: TestGateway
  get(path: string, as?: string): Promise<Reply>
  /** Every answer of the origin has its number. */
  asked(): number
  isUp(): Promise<boolean>
  untilUp(): Promise<void>
  untilDown(): Promise<void>
  /** Log lines that tell of a change of the store's state. */
  changes(): string[]
}

/** One gateway on a Redis of its own. Its near tier asks again every time, unless `store` says otherwise. */
async function setup(open: AsyncDisposableStack, store: Record<string, unknown> = {}, down = false): Promise<Bench> {
  const origin = open.use(await startOrigin())
  const redis = open.use(await startRedis())
  if (down) await redis.kill()
  const config = configFor(origin.url, {
    store: redisStore(redis.url, { near: { maxAge: '0s' }, ...store }),
    routes: ROUTES,
    tenants: TENANTS,
  })
  const gateway = open.use(await startGateway(config))
  origin.answer((_req, res) => void res.end(`answer ${origin.seen.length}`))
  const token = await tokenFor('acme')
  const isUp = async () => (await gateway.metric('sluice_store_up')) === 1
  return {
    origin,
    redis,
    gateway,
    get: (path, as = token) => ask(gateway.url, { path, headers: { authorization: `Bearer ${as}` } }),
    asked: () => origin.seen.length,
    isUp,
    untilUp: () => until(isUp, 'the store up'),
    untilDown: () => until(async () => !(await isUp()), 'the store down'),
    changes: () => gateway.lines.map((line) => String(line.msg)).filter((msg) => msg.startsWith('the store is ')),
  }
}

const UP = 'the store is up'
const DOWN = 'the store is down; going on without it'

describe('a gateway whose Redis is away', () => {
  test('starts, answers, and picks it up when it appears', async () => {
    await using open = new AsyncDisposableStack()
    const { gateway, redis, get, isUp, untilUp, asked, changes } = await setup(open, {}, true)
    assert.equal(await isUp(), false)
    const path = question()
    const first = await get(path)
    assert.deepEqual([first.status, first.cache], [200, 'fwd=uri-miss; stored'])
    assert.equal((await get(path)).body, first.body)
    assert.equal(asked(), 1, 'what it asked itself it keeps')
    assert.equal((await ask(gateway.adminUrl, { path: '/readyz' })).status, 200)
    await redis.restart()
    await untilUp()
    await get(path)
    const { body, cache } = await get(path)
    assert.match(cache, /^hit/)
    assert.ok(body)
    await until(() => changes().length === 1, 'the log line')
    assert.deepEqual(changes(), [UP])
  })

  test('goes on when it is killed, says so once, and comes back by itself', async () => {
    await using open = new AsyncDisposableStack()
    const { gateway, redis, get, untilDown, untilUp, changes } = await setup(open)
    const path = question()
    await get(path)
    await redis.kill()
    await untilDown()
    const replies = await Promise.all(Array.from({ length: 50 }, (_, n) => get(n < 25 ? path : question())))
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [200])
    assert.equal((await get('/proxied/x')).status, 200)
    assert.equal((await ask(gateway.url, { path: '/_sluice/health/ready' })).status, 200)
    const { store } = JSON.parse((await ask(gateway.adminUrl, { path: '/readyz' })).body)
    assert.equal(store, 'down')
    assert.ok((await gateway.metric('sluice_cache_errors_total')) > 0)
    await redis.restart()
    await untilUp()
    await get(path)
    assert.match((await get(path)).cache, /^hit/)
    await until(() => changes().length === 3, 'the log lines')
    assert.deepEqual(changes(), [UP, DOWN, UP])
  })

  test('asks the upstream once for many who ask the same', async () => {
    await using open = new AsyncDisposableStack()
    const { redis, get, untilDown, asked } = await setup(open)
    await redis.kill()
    await untilDown()
    const path = question()
    await Promise.all(Array.from({ length: 50 }, () => get(path)))
    assert.equal(asked(), 1)
  })

  test('is slowed by one that does not answer only for the first few requests', async () => {
    await using open = new AsyncDisposableStack()
    const { redis, get, untilDown, untilUp, changes } = await setup(open, { commandTimeout: '50ms' })
    await get(question())
    redis.pause()
    const took: number[] = []
    for (let n = 0; n < 30; n++) {
      const reply = await get(question())
      assert.equal(reply.status, 200)
      took.push(reply.tookMs)
    }
    // read, lease and begin may each wait once for commandTimeout before the breaker opens
    assert.ok(Math.max(...took) < 1_000, `the slowest took ${Math.max(...took)} ms`)
    const late = took.slice(10).toSorted((a, b) => a - b)
    assert.ok(late[10]! < 40, `half of the later ones took more than ${late[10]} ms`)
    await untilDown()
    redis.resume()
    await untilUp()
    const path = question()
    await get(path)
    assert.match((await get(path)).cache, /^hit/)
    await until(() => changes().length === 3, 'the log lines')
    assert.deepEqual(changes(), [UP, DOWN, UP])
  })

  test('cannot purge, and says so', async () => {
    await using open = new AsyncDisposableStack()
    const { gateway, redis, untilDown } = await setup(open)
    await redis.kill()
    await untilDown()
    const reply = await operate(gateway, 'purge', { all: true })
    assert.deepEqual([reply.status, JSON.parse(reply.body).code], [503, 'STORE_UNAVAILABLE'])
    assert.ok(Number(reply.headers['retry-after']) >= 1)
  })

  test('enforces the rate by itself, and marks it', async () => {
    await using open = new AsyncDisposableStack()
    const { redis, gateway, get, untilDown } = await setup(open)
    const tight = await tokenFor('tight')
    await until(async () => (await gateway.metric('sluice_processes')) === 1, 'its knowing how many they are')
    const shared = await get(question(), tight)
    assert.match(String(shared.headers.ratelimit), /^"requests";r=3;t=\d+$/)
    await redis.kill()
    await untilDown()
    const replies: Reply[] = []
    for (let n = 0; n < 8; n++) replies.push(await get(question(), tight))
    const taken = replies.filter(({ status }) => status === 200)
    assert.ok(taken.length >= 4 && taken.length <= 5, `${taken.length} of a burst of 4`)
    assert.ok(replies.every(({ headers }) => String(headers.ratelimit).endsWith(';sluice-degraded')))
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [200, 429])
  })

  test('enforces no rate where it never knew how many they are, and marks it', async () => {
    await using open = new AsyncDisposableStack()
    const { get } = await setup(open, {}, true)
    const tight = await tokenFor('tight')
    const replies: Reply[] = []
    for (let n = 0; n < 8; n++) replies.push(await get(question(), tight))
    assert.ok(replies.every(({ status }) => status === 200))
    assert.ok(replies.every(({ headers }) => String(headers.ratelimit).endsWith(';sluice-degraded')))
  })
})

describe('a gateway whose Redis cannot be written', () => {
  test('answers, says so once, and stores again when it can', async () => {
    await using open = new AsyncDisposableStack()
    const { gateway, redis, get, untilDown, untilUp, changes } = await setup(open)
    const tight = await tokenFor('tight')
    const path = question()
    await get(path)
    await using admin = clientOf(redis)
    await admin.redis.replicaof('127.0.0.1', '1') // a master that is not there
    const replies = await Promise.all(Array.from({ length: 60 }, (_, n) => get(n % 3 ? question() : path, tight)))
    assert.ok(replies.every(({ status }) => status === 200 || status === 429))
    await untilDown()
    // Long enough for several beats and reconnections.
    for (const untilAt = performance.now() + 2_500; performance.now() < untilAt; ) {
      assert.equal((await get(question())).status, 200)
    }
    assert.equal((await operate(gateway, 'purge', { all: true })).status, 503)
    assert.deepEqual(changes(), [UP, DOWN])
    await admin.redis.replicaof('NO', 'ONE')
    await untilUp()
    await get(path)
    assert.match((await get(path)).cache, /^hit/)
    await until(() => changes().length === 3, 'the log line')
    assert.deepEqual(changes(), [UP, DOWN, UP])
  })
})

describe('a gateway whose Redis lies', () => {
  const open = new AsyncDisposableStack()
  let bench: Bench
  let admin: Redis

  before(async () => {
    bench = await setup(open, { commandTimeout: '1s' })
    admin = open.use(clientOf(bench.redis)).redis
  })
  afterEach(() => assert.deepEqual(bench.changes(), [UP], 'a lie about a key is no outage'))
  after(() => open.disposeAsync())

  const keysLike = (part: string) => admin.keys(`sluice:*:${part}*`)

  /** A question that is stored, and its answer. */
  const stored = async (as?: string) => {
    const path = question()
    const { body } = await bench.get(path, as)
    const hit = await bench.get(path, as)
    assert.match(hit.cache, /^hit/)
    assert.equal(hit.body, body)
    return { path, body }
  }

  /** It is asked once more, and then right again. */
  const recovers = async ({ path, body }: { path: string; body: string }) => {
    const miss = await bench.get(path)
    assert.equal(miss.status, 200)
    assert.notEqual(miss.body, body)
    const hit = await bench.get(path)
    assert.match(hit.cache, /^hit/)
    assert.equal(hit.body, miss.body)
  }

  const kindOf = (key: string) => key.split(':')[2]!

  test('because all keys of one kind were evicted is right again after at most one miss', async () => {
    await bench.get(question(), await tokenFor('tight'))
    await stored()
    const kinds = new Set((await keysLike('')).map(kindOf))
    for (const kind of kinds) {
      const known = await stored()
      const keys = await keysLike(kind)
      if (keys.length > 0) await admin.del(keys)
      const miss = await bench.get(known.path)
      assert.equal(miss.status, 200, kind)
      if (kind !== 'generation' && kind !== 'entry') assert.equal(miss.body, known.body, kind)
      const hit = await bench.get(known.path)
      assert.match(hit.cache, /^hit/, kind)
      assert.equal(hit.body, miss.body, kind)
      await stored()
    }
  })

  test('because it was emptied is right again after one miss', async () => {
    const known = await stored()
    await admin.flushall()
    await recovers(known)
  })

  test('never gives back what was purged, neither when generations are evicted nor when old values reappear', async () => {
    const { path, body } = await stored()
    const old = new Map<string, Buffer>()
    for (const key of await keysLike('entry')) old.set(key, (await admin.getBuffer(key))!)
    assert.equal((await operate(bench.gateway, 'purge', { tenant: 'acme' })).status, 200)
    const generations = await keysLike('generation')
    if (generations.length > 0) await admin.del(generations)
    const renewed = await bench.get(path)
    assert.notEqual(renewed.body, body)
    for (const [key, value] of old) await admin.set(key, value)
    const again = await bench.get(path)
    assert.notEqual(again.body, body)
    assert.equal(again.status, 200)
  })

  for (const [what, become] of [
    ['a list', (key: string) => admin.multi().del(key).rpush(key, 'lie').exec()],
    ['some text', (key: string) => admin.set(key, 'lie')],
  ] as const) {
    test(`because every key has become ${what} answers everyone, and is right again`, async () => {
      const tight = await tokenFor('tight')
      const known = await stored()
      await bench.get(question(), tight)
      const held = await heldFlight()
      const keys = await keysLike('')
      const kinds = new Set(keys.map(kindOf))
      for (const kind of ['entry', 'generation', 'fence', 'lease', 'limit']) assert.ok(kinds.has(kind), kind)
      for (const key of keys) await become(key)
      const during = await Promise.all([bench.get(known.path), bench.get(question()), bench.get(question(), tight)])
      for (const { status } of during) assert.equal(status, 200)
      assert.equal((await held.end()).status, 200)
      await stored()
      assert.equal((await bench.get(known.path)).status, 200)
      assert.match((await bench.get(known.path)).cache, /^hit/)
      await admin.flushall()
    })
  }

  /** A request that waits for the origin, with its lease and its fence in Redis. */
  async function heldFlight() {
    const gate = Promise.withResolvers<void>()
    const path = question()
    bench.origin.answer(async (req, res) => {
      if (req.url === path) await gate.promise
      res.end(`answer ${bench.origin.seen.length}`)
    })
    const arrived = bench.origin.arrived(bench.origin.seen.length + 1)
    const reply = bench.get(path)
    await arrived
    return {
      end: () => {
        gate.resolve()
        return reply
      },
    }
  }

  const DAMAGES: [string, (value: Buffer) => Buffer][] = [
    ['nothing', () => Buffer.alloc(0)],
    ['noise', () => Buffer.from('not an entry at all, but some text of a good length')],
    ['only its magic', (value) => value.subarray(0, 4)],
    ['cut in its head', (value) => value.subarray(0, 20)],
    ['cut by its last byte', (value) => value.subarray(0, -1)],
    ['longer by a byte', (value) => Buffer.concat([value, Buffer.from('x')])],
    [
      'one bit of its body another',
      (value) => Buffer.concat([value.subarray(0, -1), Buffer.from([value.at(-1)! ^ 1])]),
    ],
    [
      'a huge length inside',
      (value) => Buffer.concat([value.subarray(0, 24), Buffer.alloc(4, 0xff), value.subarray(28)]),
    ],
  ]
  for (const [name, damage] of DAMAGES) {
    test(`because an entry is ${name} is right again after one miss`, async () => {
      await admin.flushall()
      const known = await stored()
      const [key] = await keysLike('entry')
      await admin.set(key!, damage((await admin.getBuffer(key!))!), 'KEEPTTL')
      await recovers(known)
    })
  }

  test('because one entry stands under the key of another gives nobody what is not his', async () => {
    await admin.flushall()
    const one = await stored()
    const [first] = await keysLike('entry')
    const two = await stored()
    const second = (await keysLike('entry')).find((key) => key !== first)!
    const [a, b] = [(await admin.getBuffer(first!))!, (await admin.getBuffer(second))!]
    await admin.set(first!, b, 'KEEPTTL')
    await admin.set(second, a, 'KEEPTTL')
    assert.notEqual((await bench.get(one.path)).body, two.body)
    assert.notEqual((await bench.get(two.path)).body, one.body)
  })

  test('because its scripts were forgotten is told them again', async () => {
    await stored()
    await admin.script('FLUSH')
    await stored()
  })
})

function clientOf({ url }: TestRedis): AsyncDisposable & { redis: Redis } {
  const redis = new Redis(url)
  return { redis, [Symbol.asyncDispose]: async () => redis.disconnect() }
}
