import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Counter, Gauge, Registry } from 'prom-client'
import { HotHistogram } from '../telemetry/histogram.ts'
import { addedUp, Departed } from './totals.ts'

/** What a process has counted: so many jobs, of so many seconds each, and how many it runs. */
function metricsOf(jobs: number, seconds: number, running: number) {
  const registry = new Registry()
  const registers = [registry]
  new Counter({ name: 'jobs_total', help: 'h', labelNames: ['status'], registers }).inc({ status: 'done' }, jobs)
  const histogram = new HotHistogram({ name: 'job_seconds', help: 'h', labelNames: ['class'], buckets: [1] }, registry)
  for (let n = 0; n < jobs; n++) histogram.observe('batch', seconds)
  new Gauge({ name: 'running', help: 'h', registers }).set(running)
  return registry.getMetricsAsJSON()
}

describe('the metrics of several processes', () => {
  const linesOf = async (page: { metrics(): Promise<string> }) =>
    (await page.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))

  test('add up, and what one that has left had counted stays in the sums while its gauges go', async () => {
    const departed = new Departed()
    departed.add(await metricsOf(3, 0.5, 9))
    departed.add(await metricsOf(2, 2, 9))
    assert.deepEqual(
      await linesOf(addedUp([departed.metrics, await metricsOf(1, 0.5, 4), await metricsOf(1, 0.5, 5)])),
      [
        'jobs_total{status="done"} 7',
        'job_seconds_bucket{le="1",class="batch"} 5',
        'job_seconds_bucket{le="+Inf",class="batch"} 7',
        'job_seconds_sum{class="batch"} 6.5',
        'job_seconds_count{class="batch"} 7',
        'running 9',
      ],
    )
  })

  test('are nothing where there is nobody', async () => {
    assert.deepEqual(await linesOf(addedUp([new Departed().metrics])), [])
  })
})
