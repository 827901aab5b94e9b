import { zstdCompressSync } from 'node:zlib'
import { encodeStored } from '../../src/results/stored.ts'
import { addRate, workRate } from '../queue/drive.ts'
import { openOurs } from '../queue/ours.ts'
import { startRedis } from '../redis.ts'
import type { Row } from '../row.ts'
import { table } from '../table.ts'

const BYTES = 23 * 1_024
const JOBS = 20_000
/** The figure is about this many. */
const ALL = 100_000

/** What a queued job takes in Redis, and what is left of one that has ended with a result of 23 KiB JSON. */
export async function queueMemory(): Promise<Row> {
  const redis = await startRedis()
  const used = () => redis.info('memory', 'used_memory')
  const side = await openOurs(redis.url, 50, 100, (n) => stored(n))
  try {
    const empty = await used()
    await addRate(side, JOBS)
    const queued = ((await used()) - empty) / JOBS
    await workRate(side, JOBS)
    const ended = ((await used()) - empty) / JOBS
    const gigabytes = (ended * ALL) / 1e9
    return {
      name: 'queue-memory',
      title: `${ALL} jobs in Redis: queued with a payload of 300 bytes, and ended with 23 KiB JSON, all different`,
      measures: [
        { side: 'sluice', unit: 'MB', what: `queued, from ${JOBS} jobs`, values: [(queued * ALL) / 1e6] },
        { side: 'sluice', unit: 'MB', what: `ended, from ${JOBS} jobs`, values: [(ended * ALL) / 1e6] },
      ],
      goals: [{ what: 'ended jobs with their results', value: gigabytes, sense: '<=', bound: 0.6, unit: 'GB' }],
      remarks: [`a queued job takes ${Math.round(queued)} bytes`],
    }
  } finally {
    await side.close()
    await redis.stop()
  }
}

/** As the results room stores a small one: zstd, with the job. */
function stored(n: number): Buffer {
  const body = zstdCompressSync(table(BYTES, n))
  const head = { status: 200, headers: ['content-type', 'application/json'], coding: 'zstd' as const, rawBytes: BYTES }
  return encodeStored({ ...head, bytes: body.length, expiresAt: Date.now() + 3_600_000, tier: 'inline', body })
}
