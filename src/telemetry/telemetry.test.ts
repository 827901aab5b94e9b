import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Registry } from 'prom-client'
import { type AccessLine, accessLog } from './access.ts'
import { HotHistogram } from './histogram.ts'
import { TenantLabels } from './labels.ts'
import { Lines } from './lines.ts'
import { createMetrics } from './metrics.ts'
import { Tally } from './tally.ts'

const line: AccessLine = {
  id: 'abc',
  tenant: 'acme',
  principal: 'ana',
  route: 'query',
  method: 'POST',
  path: '/api/query',
  status: 200,
  outcome: 'hit',
  code: undefined,
  key: 'k'.repeat(43),
  ms: 1.23456,
  authMs: 0,
  cacheMs: 2,
  queueMs: 0,
  upstreamMs: 0,
}

describe('an access line', () => {
  const written = (changes: Partial<AccessLine>) => {
    const lines: string[] = []
    accessLog(
      (text) => lines.push(text),
      () => true,
    )({ ...line, ...changes })
    assert.equal(lines.length, 1)
    assert.ok(lines[0]!.endsWith('}\n'))
    return JSON.parse(lines[0]!)
  }

  test('is one JSON object with what is known, and no more of the key than its beginning', () => {
    const { level, time, pid, ...rest } = written({})
    assert.equal(level, 30)
    assert.ok(Math.abs(time - Date.now()) < 60_000)
    assert.equal(pid, process.pid)
    assert.deepEqual(rest, {
      log: 'access',
      id: 'abc',
      tenant: 'acme',
      principal: 'ana',
      route: 'query',
      method: 'POST',
      path: '/api/query',
      status: 200,
      outcome: 'hit',
      key: 'k'.repeat(16),
      ms: 1.23,
      cacheMs: 2,
    })
  })

  for (const odd of ['a"b', 'a\\b', 'line\nbreak', 'ä', '李', '\u2028', '\u007f', '\ud800', '"}\n{"level":60']) {
    test(`holds ${JSON.stringify(odd)} in a principal or a path as it is`, () => {
      assert.equal(written({ principal: odd }).principal, odd)
      assert.equal(written({ path: odd }).path, odd)
    })
  }

  test('is not written when the log is off', () => {
    accessLog(
      () => assert.fail('nothing should be written'),
      () => false,
    )(line)
  })
})

describe('gathered lines', () => {
  const setup = () => {
    const pieces: Buffer[] = []
    const lines = new Lines((bytes) => pieces.push(Buffer.from(bytes)))
    return { lines, pieces, text: () => Buffer.concat(pieces).toString() }
  }

  test('come out whole, in order, in few pieces', () => {
    const { lines, pieces, text } = setup()
    const all = Array.from({ length: 2_000 }, (_, n) => `{"line":${n},"ä":"李😀"}\n`)
    for (const line of all) lines.write(line)
    lines.flush()
    assert.equal(text(), all.join(''))
    assert.ok(pieces.length < 5)
  })

  test('longer than a piece come out too', () => {
    const { lines, text } = setup()
    lines.write('a\n')
    lines.write(`${'b'.repeat(100_000)}\n`)
    lines.write('c\n')
    lines.flush()
    assert.equal(text(), `a\n${'b'.repeat(100_000)}\nc\n`)
  })

  test('are nothing when there are none', () => {
    const { lines, pieces } = setup()
    lines.flush()
    assert.equal(pieces.length, 0)
  })
})

describe('metrics', () => {
  test('past the bound tenants share the label `other`, and nobody in particular is `anonymous`', () => {
    const labels = new TenantLabels(2)
    assert.deepEqual(
      ['a', 'b', 'c', 'a', null, 'c'].map((tenant) => labels.of(tenant)),
      ['a', 'b', 'other', 'a', 'anonymous', 'other'],
    )
  })

  test('a histogram has cumulative buckets, a sum and a count, as Prometheus wants them', async () => {
    const registry = new Registry()
    const histogram = new HotHistogram(
      { name: 'h_seconds', help: 'H.', labelNames: ['route'], buckets: [0.1, 1] },
      registry,
    )
    const cell = histogram.cell({ route: 'x' })
    for (const value of [0.05, 0.1, 0.5, 5]) cell.observe(value)
    assert.equal(histogram.cell({ route: 'x' }), cell)
    const page = await registry.metrics()
    for (const wanted of [
      '# TYPE h_seconds histogram',
      'h_seconds_bucket{le="0.1",route="x"} 2',
      'h_seconds_bucket{le="1",route="x"} 3',
      'h_seconds_bucket{le="+Inf",route="x"} 4',
      'h_seconds_sum{route="x"} 5.65',
      'h_seconds_count{route="x"} 4',
    ]) {
      assert.ok(page.includes(wanted), `${wanted}\n${page}`)
    }
  })

  test('counts told at a scrape are counted once', async () => {
    const registry = new Registry()
    const tally = new Tally(createMetrics(registry))
    tally.count('acme', 'query', 'hit', 0.001)
    tally.count('acme', 'query', 'hit', 0.001)
    const wanted = 'sluice_requests_total{tenant="acme",route="query",outcome="hit"}'
    assert.ok((await registry.metrics()).includes(`${wanted} 2`))
    assert.ok((await registry.metrics()).includes(`${wanted} 2`))
    tally.count('acme', 'query', 'hit', 0.001)
    assert.ok((await registry.metrics()).includes(`${wanted} 3`))
    assert.ok(
      (await registry.metrics()).includes('sluice_request_duration_seconds_count{route="query",outcome="hit"} 3'),
    )
  })

  test('every name ends in its unit or in _total', async () => {
    const registry = new Registry()
    createMetrics(registry)
    const odd = registry.getMetricsAsArray().filter(({ name }) => name.startsWith('sluice_'))
    const counters = odd.filter((metric) => (metric as unknown as { type: string }).type === 'counter')
    for (const { name } of counters) assert.match(name, /_total$/)
  })
})
