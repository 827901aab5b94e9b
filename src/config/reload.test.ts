import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { configOf } from './fixture.ts'
import { fixedChanges } from './reload.ts'

const REDIS = 'store: { kind: redis, url: "redis://h" }'

describe('what cannot change live', () => {
  for (const [before, after, expected] of [
    ['', '', []],
    ['', 'server: { host: 127.0.0.2, port: 1 }', ['server.host', 'server.port']],
    ['', 'admin: { port: 1 }', ['admin.port']],
    ['', 'store: { kind: embedded, near: { maxBytes: 1MiB } }', ['store.near.maxBytes']],
    ['store: { kind: redis, cluster: ["h:1"] }', 'store: { kind: redis, cluster: ["h:2"] }', ['store.cluster']],
    ['', 'store: { kind: embedded, dir: /d, synchronous: normal }', ['store.dir', 'store.synchronous']],
    ['', 'workers: { concurrency: 4 }\nresults: { spillAbove: 1MiB }', []],
    [REDIS, `${REDIS}\nworkers: { maxJobsPerProcess: 9, maxMemory: 1GiB }\nresults: { kind: redis }`, []],
    ['', 'server: { host: 127.0.0.1, bodyLimit: 2MiB }\ntelemetry: { logLevel: debug }', []],
    ['', 'routes: [{ name: a, match: { path: /a }, mode: deny }]\ntenants: { list: { acme: {} } }', []],
  ] as const) {
    test(`from '${before}' to '${after}' is ${expected.join(', ') || 'nothing'}`, () => {
      assert.deepEqual(fixedChanges(configOf(before), configOf(after)), expected)
    })
  }
})
