import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { sluice } from '../support/cli.ts'
import { query } from '../support/client.ts'
import { configFor } from '../support/config.ts'
import { startGateway } from '../support/gateway.ts'
import { startOrigin } from '../support/origin.ts'

function configFile(yaml: string): string {
  const file = join(mkdtempSync(join(tmpdir(), 'sluice-cli-')), 'sluice.yaml')
  writeFileSync(file, yaml)
  return file
}

describe('sluice', { concurrency: 2 }, () => {
  test('help lists every verb with an example, and tells more about one', async () => {
    const { code, out } = await sluice('help')
    assert.equal(code, 0)
    for (const verb of ['serve', 'check', 'config', 'token', 'explain', 'purge', 'jobs', 'queues', 'tenants'])
      assert.match(out, new RegExp(`^  ${verb} `, 'm'))
    assert.match((await sluice('help', 'purge')).out, /--tag TAG/)
    assert.match((await sluice('purge', '--help')).out, /--tag TAG/)
    assert.match((await sluice('help', 'jobs')).out, /^ID +TENANT +STATUS.*\njob_\w{26} +acme/m)
  })

  test('used wrongly ends with 2 and says what is right', async () => {
    const cases = [
      ['sreve'],
      ['purge'],
      ['purge', '--al'],
      ['token'],
      ['config', 'x'],
      ['explain', 'GET'],
      ['token', '--tenant', 'a', '--ttl', '5'],
      ['serve', '--role', 'boss'],
      ['jobs'],
      ['jobs', 'shwo', 'job_1'],
      ['jobs', 'show'],
      ['jobs', 'list', '--status', 'runing'],
      ['jobs', 'list', '--limit', '0'],
      ['jobs', 'list', '--dead', '--status', 'failed'],
      ['tenants', 'show'],
      ['tenants', 'set', 'acme'],
      ['queues', '--al'],
    ]
    for (const { code, err } of await Promise.all(cases.map((args) => sluice(...args)))) {
      assert.equal(code, 2)
      assert.match(err, /^sluice: /)
    }
  })

  test('serve in another role than all wants a store that processes share', async () => {
    for (const role of ['gateway', 'worker']) {
      const { code, err } = await sluice('serve', '--config', 'config/quickstart.yaml', '--role', role)
      assert.equal(code, 1)
      assert.match(err, new RegExp(`^sluice: --role ${role} needs store.kind: redis, for jobs`))
    }
  })

  test('check passes on the reference config and on the quickstart’s', async () => {
    assert.equal((await sluice('check')).code, 0)
    assert.equal((await sluice('check', '--config', 'config/quickstart.yaml')).code, 0)
  })

  test('check prints every fault with its place and ends with 1', async () => {
    const file = configFile(
      configFor('http://127.0.0.1:1').replace('port: 0', 'port: 99999').replace('mode: cache', 'mode: cahce'),
    )
    const { code, err } = await sluice('check', '--config', file)
    assert.equal(code, 1)
    assert.match(err, new RegExp(`^${file}:\\d+:\\d+ server\\.port: `, 'm'))
    assert.match(err, /routes\[0\]\.mode: .*"?cache/)
  })

  test('check names a file that is not there', async () => {
    const { code, err } = await sluice('check', '--config', '/nowhere/sluice.yaml')
    assert.equal(code, 1)
    assert.match(err, /\/nowhere\/sluice\.yaml/)
  })

  test('config show masks secrets', async () => {
    const { out } = await sluice('config', 'show', '--config', configFile(configFor('http://127.0.0.1:1')))
    assert.ok(!out.includes('a-secret-for-tests'))
    assert.match(out, /ttl: 1m/)
  })

  test('config schema is a JSON Schema', async () => {
    const schema = JSON.parse((await sluice('config', 'schema')).out)
    assert.equal(schema.type, 'object')
    assert.ok(schema.properties.routes)
  })

  test('token mints what the gateway accepts; explain shows its key; purge empties it', async () => {
    await using origin = await startOrigin()
    await using gateway = await startGateway(configFor(origin.url))
    const minted = await sluice('token', '--tenant', 'acme', '--claim', 'rls=["EMEA"]', '--config', gateway.configFile)
    const token = minted.out.trim()
    const body = { dataset: 'sales' }
    assert.equal((await query(gateway.url, token, body)).cache, 'fwd=uri-miss; stored')
    const admin = ['--admin', gateway.adminUrl]

    const explained = await sluice(
      'explain',
      'POST',
      '/api/query',
      '-H',
      `Authorization: Bearer ${token}`,
      '-H',
      'content-type: application/json',
      '-d',
      JSON.stringify(body),
      ...admin,
      '--json',
    )
    assert.equal(explained.code, 0, explained.err)
    const told = JSON.parse(explained.out)
    assert.equal(told.route.name, 'query')
    assert.equal(told.caller.tenant, 'acme')
    assert.equal(told.canonicalBody, '{"dataset":"sales"}')
    assert.equal(told.cache.far.kind, 'entry')
    assert.deepEqual(told.tags, ['dataset:sales'])
    assert.ok(!explained.out.includes(token))

    assert.match((await query(gateway.url, token, body)).cache, /^hit/)
    const purged = await sluice('purge', '--tenant', 'acme', '--tag', 'dataset:sales', ...admin)
    assert.equal(purged.code, 0, purged.err)
    assert.equal((await query(gateway.url, token, body)).cache, 'fwd=uri-miss; stored')
    for (const what of [['--all'], ['--tenant', 'acme'], ['--tenant', 'acme', '--key', told.key]]) {
      assert.match((await query(gateway.url, token, body)).cache, /^hit/)
      assert.equal((await sluice('purge', ...what, ...admin)).code, 0)
      assert.equal((await query(gateway.url, token, body)).cache, 'fwd=uri-miss; stored')
    }
    assert.match((await query(gateway.url, token, body)).cache, /^hit/)
    await sluice('purge', '--tenant', 'globex', ...admin)
    assert.match((await query(gateway.url, token, body)).cache, /^hit/)
  })

  test('purge where no gateway answers ends with 1 and says what to try', async () => {
    const { code, err } = await sluice('purge', '--all', '--admin', 'http://127.0.0.1:1')
    assert.equal(code, 1)
    assert.match(err, /is it running/)
  })
})

describe('the admin port', () => {
  test('with a token wants it, and is no page of a rebound name or another origin without one', async () => {
    await using origin = await startOrigin()
    await using guarded = await startGateway(
      configFor(origin.url).replace('admin:\n', 'admin:\n  token: an-admin-token\n'),
    )
    const purge = (headers: Record<string, string>) =>
      fetch(`${guarded.adminUrl}/admin/v1/purge`, { method: 'POST', headers, body: '{"all":true}' })
    assert.equal((await purge({})).status, 401)
    assert.equal((await purge({ authorization: 'Bearer wrong' })).status, 401)
    assert.equal((await purge({ authorization: 'Bearer an-admin-token' })).status, 200)

    await using open = await startGateway(configFor(origin.url))
    const purgeOpen = (headers: Record<string, string>) =>
      fetch(`${open.adminUrl}/admin/v1/purge`, { method: 'POST', headers, body: '{"all":true}' })
    assert.equal((await purgeOpen({})).status, 200)
    assert.equal((await purgeOpen({ origin: 'http://evil.example' })).status, 401)
  })
})
