import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { configOf, SECRET } from './fixture.ts'
import { takesJobs } from './jobs.ts'

const ROUTES = `upstreams:
  forwarded: { urls: ["http://h"] }
  stripped: { urls: ["http://h"], credentials: strip }
  own: { urls: ["http://h"], credentials: { header: Authorization, value: "Bearer x" } }
routes:`

describe('a route', () => {
  for (const [what, route, expected] of [
    ['in a queue', 'mode: queue, upstream: stripped', true],
    ['in a queue, with a key', `mode: queue, upstream: forwarded, submit: { credentialKey: ${SECRET} }`, true],
    ['cached, whose upstream gets no credential,', 'mode: cache, upstream: stripped', true],
    ['cached, whose upstream gets the gateway’s credential,', 'mode: cache, upstream: own', true],
    ['cached, with an optional token,', 'mode: cache, upstream: own, auth: optional', true],
    ['cached, with a key', `mode: cache, upstream: forwarded, submit: { credentialKey: ${SECRET} }`, true],
    ['cached, whose upstream gets the caller’s credential,', 'mode: cache, upstream: forwarded', false],
    ['cached, for anybody,', 'mode: cache, upstream: stripped, auth: none, cache: { identity: shared }', false],
    ['proxied', 'mode: proxy, upstream: stripped', false],
    ['denied', 'mode: deny', false],
  ] as const) {
    test(`${what} ${expected ? 'takes' : 'takes no'} jobs`, () => {
      const config = configOf(`${ROUTES} [{ name: a, match: { path: /a }, ${route} }]`)
      assert.equal(takesJobs(config.routes[0]!, config), expected)
    })
  }
})
