import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { configOf } from './fixture.ts'
import { tenantSettings } from './tenants.ts'

const TENANTS = `tenants:
  default: { burst: 10, cache: { maxBytes: 1MiB, ttl: 1m } }
  plans: { gold: { burst: 20, requestsPerMinute: 0, cache: { ttl: 2m } } }
  list:
    acme: { plan: gold, cache: { jitter: 0 } }
    globex: { burst: 30 }`

describe('the settings of a tenant', () => {
  test('are its own, else its plan’s, else the default’s, each by itself', () => {
    const config = configOf(TENANTS)
    const acme = tenantSettings(config, 'acme')!
    assert.equal(acme.burst, 20)
    assert.equal(acme.requestsPerMinute, 0)
    assert.equal(acme.maxExecutionTime, 300_000)
    assert.deepEqual(acme.cache, { maxBytes: 1024 ** 2, ttl: 120_000, jitter: 0 })
    assert.equal(tenantSettings(config, 'globex')!.burst, 30)
    assert.equal('plan' in acme, false)
  })

  test('have a default for all that queues', () => {
    const { weight, maxConcurrentQueries, softConcurrentQueries, ...rest } = configOf().tenants.default
    assert.deepEqual([weight, maxConcurrentQueries, softConcurrentQueries], [1, 4, 4])
    const { maxQueueSize, maxQueueTime, maxResultSize, maxResultBytes } = rest
    assert.deepEqual([maxQueueSize, maxQueueTime], [100, 30_000])
    assert.deepEqual([maxResultSize, maxResultBytes], [64 * 1024 ** 2, 1024 ** 3])
  })

  test('of its queue are its own, else its plan’s, too', () => {
    const config = configOf(`tenants:
  default: { shadow: [maxConcurrentQueries, maxQueueSize, maxQueueTime, maxResultSize] }
  plans: { gold: { weight: 4, maxConcurrentQueries: 16, softConcurrentQueries: 0, maxResultBytes: 0B } }
  list: { acme: { plan: gold, maxQueueSize: 0, maxQueueTime: 1d, maxConcurrentQueries: 8 } }`)
    const acme = tenantSettings(config, 'acme')!
    assert.deepEqual([acme.weight, acme.maxConcurrentQueries, acme.softConcurrentQueries], [4, 8, 0])
    assert.deepEqual([acme.maxQueueSize, acme.maxQueueTime, acme.maxResultBytes], [0, 86_400_000, 0])
    assert.equal(acme.maxResultSize, 64 * 1024 ** 2)
    assert.equal(acme.shadow.length, 4)
  })

  test('of a tenant not listed are none, or the default’s when the config says so', () => {
    assert.equal(tenantSettings(configOf(TENANTS), 'initech'), undefined)
    const open = configOf(TENANTS.replace('tenants:', 'tenants:\n  unknown: default'))
    assert.deepEqual(tenantSettings(open, 'initech'), open.tenants.default)
  })

  test('of a tenant with the name of something every object has are none', () => {
    for (const name of ['constructor', '__proto__', 'tostring']) {
      assert.equal(tenantSettings(configOf(TENANTS), name), undefined)
    }
  })
})
