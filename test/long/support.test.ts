import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { send } from '../support/engine.ts'
import { startRedis } from '../support/redis.ts'
import { startCluster, type TestCluster } from '../support/redis-cluster.ts'
import { startSentinels } from '../support/sentinel.ts'
import { until } from '../support/until.ts'
import { valkeyServer } from '../support/valkey.ts'

describe('a Redis for tests', () => {
  test('with an append-only file it comes back from a kill with its data', async () => {
    await using redis = await startRedis('--appendonly', 'yes', '--appendfsync', 'always')
    await redis.command('SET', 'key', 'kept')
    await redis.kill()
    await redis.restart()
    assert.equal(await redis.command('GET', 'key'), 'kept')
  })

  test('without one it comes back empty', async () => {
    await using redis = await startRedis()
    await redis.command('SET', 'key', 'lost')
    await redis.restart()
    assert.equal(await redis.command('GET', 'key'), null)
  })

  test('takes commands that are not about keys, and leaves no connection behind', async () => {
    await using redis = await startRedis()
    await redis.command('CONFIG', 'SET', 'slowlog-log-slower-than', 0)
    await redis.command('SCRIPT', 'FLUSH')
    assert.ok(Number(await redis.command('SLOWLOG', 'LEN')) >= 2)
    assert.equal(await redis.command('CLIENT', 'KILL', 'TYPE', 'normal'), 0)
    assert.match(String(await redis.command('INFO', 'server')), /redis_version/)
  })

  test('rejects with what the server says', async () => {
    await using redis = await startRedis()
    await assert.rejects(redis.command('GET'), /wrong number of arguments/)
  })

  test('says why it could not start', async () => {
    await assert.rejects(startRedis('--no-such-setting', 'yes'), /ended with 1.*no-such-setting/s)
  })
})

describe('Sentinels for tests', () => {
  test('name another master, with the data, when the first is killed', async () => {
    await using sentinels = await startSentinels()
    const first = await sentinels.master()
    await send(first, 'SET', 'key', 'kept')
    await send(first, 'WAIT', 1, 5_000)
    await sentinels.killMaster()
    await sentinels.failedOver()
    const second = await sentinels.master()
    assert.notEqual(second, first)
    assert.equal(await send(second, 'GET', 'key'), 'kept')
  })

  test('make a replica of a master that was paused meanwhile', async () => {
    await using sentinels = await startSentinels()
    const [first] = sentinels.servers
    const resume = await sentinels.pauseMaster()
    await sentinels.failedOver()
    resume()
    const isReplica = async () => ((await first.command('ROLE')) as string[])[0] === 'slave'
    await until(isReplica, 'the old master stepping down', 30_000)
  })
})

describe('a cluster for tests', () => {
  let cluster: TestCluster
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster[Symbol.asyncDispose]())

  test('takes keys in slots of every node', async () => {
    const owners = new Set<number>()
    for (let n = 0; n < 30; n++) {
      const port = await cluster.ownerOf(cluster.slotOf(`key${n}`))
      assert.equal(await cluster.command(port, 'SET', `key${n}`, n), 'OK')
      owners.add(port)
    }
    assert.deepEqual([...owners].sort(), cluster.ports.toSorted())
  })

  test('computes slots as Redis does', async () => {
    for (const key of ['', 'foo', '{t3}:entry:acme', 'a{}b', 'a{b}{c}', '{', '}{x}', 'käse{ö}', '{a', 'a{{b}}c']) {
      assert.equal(cluster.slotOf(key), await cluster.command(cluster.ports[0]!, 'CLUSTER', 'KEYSLOT', key), key)
    }
  })

  test('moves a slot with the keys in it', async () => {
    const slot = cluster.slotOf('{moving}')
    const fromPort = await cluster.ownerOf(slot)
    const toPort = cluster.ports.find((port) => port !== fromPort)!
    for (let n = 0; n < 25; n++) await cluster.command(fromPort, 'SET', `{moving}${n}`, n)
    await cluster.migrateSlot(slot, toPort)
    assert.equal(await cluster.ownerOf(slot), toPort)
    for (let n = 0; n < 25; n++) assert.equal(await cluster.command(toPort, 'GET', `{moving}${n}`), `${n}`)
    await assert.rejects(cluster.command(fromPort, 'GET', '{moving}0'), new RegExp(`MOVED ${slot} 127.0.0.1:${toPort}`))
  })

  test('finds a slot already where it shall be', async () => {
    await cluster.migrateSlot(0, await cluster.ownerOf(0))
    assert.equal(await cluster.ownerOf(0), cluster.ports[0])
  })
})

describe('Valkey for tests', () => {
  test('answers PING where the tests ask for it, and is Valkey', async () => {
    const given = process.env.SLUICE_TEST_REDIS_SERVER ?? ''
    process.env.SLUICE_TEST_REDIS_SERVER = valkeyServer()
    try {
      await using valkey = await startRedis()
      assert.equal(await valkey.command('PING'), 'PONG')
      assert.match(String(await valkey.command('INFO', 'server')), /server_name:valkey/)
    } finally {
      process.env.SLUICE_TEST_REDIS_SERVER = given
    }
  })
})
