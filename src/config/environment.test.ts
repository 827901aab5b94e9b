import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { substitute } from './environment.ts'
import { configOf, faultsOf, told } from './fixture.ts'

const env = { NAME: 'value', EMPTY: '', PORT: '8081', FLAG: 'false', TTL: '9s' }

describe('substitution', () => {
  for (const [text, expected] of [
    ['plain $ text', 'plain $ text'],
    [`\${NAME}`, 'value'],
    [`a\${NAME}b\${NAME}`, 'avaluebvalue'],
    [`\${UNSET:-fallback}`, 'fallback'],
    [`\${EMPTY:-fallback}`, 'fallback'],
    [`\${EMPTY}`, ''],
    [`\${UNSET:-}`, ''],
    [`\${UNSET:-a:-b}`, 'a:-b'],
    [`$\${NAME}`, `\${NAME}`],
  ] as const) {
    test(`turns ${text} into ${expected || 'nothing'}`, () => {
      assert.deepEqual([substitute(text, env).text, substitute(text, env).faults], [expected, []])
    })
  }

  for (const [text, fault] of [
    [`\${UNSET}`, /UNSET, which is not set/],
    [`\${}`, /starts no reference/],
    [`\${1A}`, /starts no reference/],
    [`\${NAME`, /starts no reference/],
    [`\${constructor}`, /constructor, which is not set/],
  ] as const) {
    test(`refuses ${text}`, () => assert.match(substitute(text, env).faults.join(), fault))
  }
})

describe('the environment in a config', () => {
  test('may stand for a number, a switch, a duration and a part of a text', () => {
    const config = configOf(
      `server: { host: 127.0.0.1, port: "\${PORT}", processes: "\${N:-1}", drainTimeout: "\${TTL}" }
telemetry: { accessLog: "\${FLAG}" }
upstreams: { main: { urls: ["http://h:\${PORT}"] } }`,
      env,
    )
    assert.equal(config.server.port, 8081)
    assert.equal(config.server.processes, 1)
    assert.equal(config.server.drainTimeout, 9_000)
    assert.equal(config.telemetry.accessLog, false)
    assert.deepEqual(config.upstreams.main!.urls, ['http://h:8081'])
  })

  test('stays text where text is due', () => {
    const auth = `auth: { issuers: [{ name: a, algorithms: [HS256], secret: "\${S}", tenant: { claim: t } }] }`
    assert.equal(configOf(auth, { S: '1'.repeat(40) }).auth.issuers[0]!.secret, '1'.repeat(40))
  })

  test('is not looked for in keys', () => {
    assert.match(told(`upstreams: { "\${NAME}": { urls: ["http://h"] } }`, env)[0]!, /is not a possible name/)
  })

  test('that lacks a variable is a fault that names it', () => {
    assert.deepEqual(told(`admin: { token: "\${ADMIN_TOKEN}" }`), [
      '1:17 admin.token: needs the environment variable ADMIN_TOKEN, which is not set',
    ])
  })

  for (const [text] of [
    [`telemetry: { logLevel: "\${V}" }`],
    [`server: { port: "\${V}" }`],
    [`server: { drainTimeout: "\${V}" }`],
    [`upstreams: { main: { urls: ["\${V}"] } }`],
    [`routes: [{ name: a, match: { path: /a }, mode: "\${V}" }]`],
    [`routes: [{ name: a, match: { path: /a }, mode: proxy, upstream: "\${V}" }]`],
    [`tenants: { list: { acme: { plan: "\${V}" } } }`],
    [`auth: { issuers: [{ name: a, algorithms: [HS256], secret: "\${V}", tenant: { claim: t } }] }\nserver: {}`],
  ] as const) {
    test(`never shows its value in a fault: ${text}`, () => {
      const faults = faultsOf(text, { V: 'hunter2' })
      assert.equal(faults.length, 1)
      assert.doesNotMatch(JSON.stringify(faults), /hunter2/)
    })
  }
})
