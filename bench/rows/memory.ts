import { setTimeout as sleep } from 'node:timers/promises'
import { Connection } from '../connection.ts'
import { startGateway } from '../gateway.ts'
import { startOrigin } from '../origin.ts'
import { type BenchRedis, startRedis } from '../redis.ts'
import type { Row, RunOptions } from '../row.ts'
import { table } from '../table.ts'
import { mint } from '../token.ts'
import { chartQuery, wire } from '../workload.ts'

const BYTES = 23 * 1_024
const CONNECTIONS = 16
/** The contract's figure is about this many; fewer are measured when asked for, and scaled. */
const ENTRIES = 100_000
const PLAIN_SAMPLE = 2_000

export async function memory({ entries }: RunOptions): Promise<Row> {
  const [origin, redis] = [await startOrigin({ bytes: BYTES }), await startRedis()]
  const ours = await startGateway({ upstream: origin.url, redisUrl: redis.url })
  try {
    const plainMB = await measured(redis, PLAIN_SAMPLE, () => fillPlain(redis))
    await redis.client.flushall()
    const remarks: string[] = []
    const oursMB = await measured(redis, entries, async () => {
      const failed = await fill(ours.url, entries)
      if (failed > 0) remarks.push(`${failed} of ${entries} answers failed`)
    })
    const keys = await redis.client.dbsize()
    const isWhole = keys >= entries * 0.99
    if (!isWhole) remarks.push(`only ${keys} keys in Redis for ${entries} answers: not all were stored`)
    if (entries !== ENTRIES) remarks.push(`measured with ${entries} entries and scaled`)
    return {
      name: 'memory',
      title: `${ENTRIES} cached results of 23 KiB JSON, all different`,
      measures: [
        { side: 'sluice', unit: 'MB', what: 'used_memory', values: [oursMB] },
        { side: 'plain SET of the JSON', unit: 'MB', what: `used_memory, from ${PLAIN_SAMPLE}`, values: [plainMB] },
      ],
      goals: [{ what: 'in Redis', value: isWhole ? oursMB / 1_000 : Number.NaN, sense: '<=', bound: 0.6, unit: 'GB' }],
      remarks,
    }
  } finally {
    for (const part of [ours, redis, origin]) await part.stop()
  }
}

/** MB (10⁶ bytes) that `entries` of what `fill` adds would take for ENTRIES. */
async function measured(redis: BenchRedis, entries: number, fill: () => Promise<void>): Promise<number> {
  const before = await redis.info('memory', 'used_memory')
  await fill()
  await sleep(1_000) // the last fills are written after their answers are sent
  return (((await redis.info('memory', 'used_memory')) - before) / entries) * (ENTRIES / 1e6)
}

async function fillPlain(redis: BenchRedis): Promise<void> {
  for (let n = 0; n < PLAIN_SAMPLE; n++) await redis.client.set(`plain:${n}`, table(BYTES, n))
}

/** Asks `entries` different questions; returns how many were not answered well. */
async function fill(url: string, entries: number): Promise<number> {
  const token = mint({ tenant: 'acme', sub: 'ada' })
  let [next, failed] = [0, 0]
  const work = async () => {
    const connection = await Connection.open(url)
    while (next < entries) {
      const answer = await connection.ask(wire(chartQuery(next++, token, 'gzip, zstd'), new URL(url).host))
      if (answer.status !== 200) failed++
    }
    connection.close()
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, work))
  return failed
}
