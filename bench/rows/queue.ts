import { openBullmq } from '../queue/bullmq.ts'
import { measureCelery } from '../queue/celery.ts'
import { addRate, latency, workRate } from '../queue/drive.ts'
import { embeddedRates } from '../queue/embedded.ts'
import { openOurs } from '../queue/ours.ts'
import type { QueueSide } from '../queue/side.ts'
import { startRedis } from '../redis.ts'
import { alternate, type Measure, type Row, type RunOptions, ratio } from '../row.ts'
import { median } from '../stats.ts'

const JOBS = 10_000
const CONCURRENCY = 50
const MANY_TENANTS = 100_000
const STEADY = 500
/** A rate that one Celery pipeline of two processes carries here. */
const CELERY_RATE = 100
const EMBEDDED_JOBS = 5_000

type Open = (url: string) => Promise<QueueSide>
const ours: Open = (url) => openOurs(url, CONCURRENCY)
const ofMany: Open = (url) => openOurs(url, CONCURRENCY, MANY_TENANTS)
const bullmq: Open = (url) => openBullmq(url, CONCURRENCY)

export async function queue({ rounds, seconds, install }: RunOptions): Promise<Row> {
  const rates = new Map<Open, { add: number[]; work: number[] }>(
    [ours, bullmq].map((side) => [side, { add: [], work: [] }]),
  )
  const whole = await alternate([ours, bullmq], rounds, async (open) => {
    const { add, work } = await throughput(open, JOBS)
    rates.get(open)!.add.push(add)
    rates.get(open)!.work.push(work)
    return 1 / (1 / add + 1 / work)
  })
  const spread = await alternate([ours, ofMany], Math.min(rounds, 2), (open) => manyRate(open))
  const steady = await steadily(rounds, seconds)
  const slow = await at(CELERY_RATE, seconds, ours)
  const celery = await celerySide(seconds, install)
  const embedded = {
    full: await embeddedRates('full', EMBEDDED_JOBS),
    normal: await embeddedRates('normal', EMBEDDED_JOBS),
  }
  const [oursAll, theirsAll] = [whole.get(ours)!, whole.get(bullmq)!]
  const measure = (side: string, what: string, values: number[], unit: Measure['unit'] = 'req/s'): Measure => ({
    side,
    unit,
    what,
    values,
  })
  return {
    name: 'queue',
    title: `jobs of 100 tenants whose work is nothing, ${CONCURRENCY} at a time, one process and one Redis`,
    measures: [
      measure('sluice', 'submit to done', oursAll),
      measure('BullMQ', 'submit to done', theirsAll),
      ...[...rates].flatMap(([open, { add, work }]) => {
        const side = open === ours ? 'sluice' : 'BullMQ'
        return [measure(side, 'taken in', add), measure(side, 'worked off', work)]
      }),
      measure('sluice', `worked off, ${MANY_TENANTS} tenants with a job each`, spread.get(ofMany)!),
      measure('sluice', 'worked off, as many jobs of 100 tenants', spread.get(ours)!),
      ...steady.measures,
      measure('sluice', `p50 at ${CELERY_RATE}/s`, [slow.p50], 'ms'),
      measure('sluice', `p99 at ${CELERY_RATE}/s`, [slow.p99], 'ms'),
      ...celery.map(([what, value, unit]) => measure('Celery', what, [value], unit)),
      ...(['full', 'normal'] as const).flatMap((kind) => [
        measure('sluice, embedded', `taken in, synchronous ${kind}`, [embedded[kind].submits]),
        measure('sluice, embedded', `ended and claimed, synchronous ${kind}`, [embedded[kind].claims]),
      ]),
    ],
    goals: [
      { what: 'submit to done, against BullMQ', value: ratio(oursAll, theirsAll), sense: '>=', bound: 1, unit: '×' },
      {
        what: '100,000 tenants against 100',
        value: ratio(spread.get(ofMany)!, spread.get(ours)!),
        sense: '>=',
        bound: 0.8,
        unit: '×',
      },
      { what: `p50 at ${STEADY}/s, against BullMQ`, value: steady.p50, sense: '<=', bound: 1, unit: '×' },
      { what: `p99 at ${STEADY}/s, against BullMQ`, value: steady.p99, sense: '<=', bound: 1, unit: '×' },
      ...(celery.length > 0
        ? [
            {
              what: `p50 at ${CELERY_RATE}/s, against Celery`,
              value: slow.p50 / celery[2]![1],
              sense: '<=' as const,
              bound: 1,
              unit: '×' as const,
            },
          ]
        : []),
    ],
    remarks: celery.length > 0 ? [] : ['Celery is not installed here, so its side is missing'],
  }
}

async function onRedis<T>(open: Open, work: (side: QueueSide) => Promise<T>): Promise<T> {
  const redis = await startRedis()
  const side = await open(redis.url)
  try {
    return await work(side)
  } finally {
    await side.close()
    await redis.stop()
  }
}

const throughput = (open: Open, jobs: number) =>
  onRedis(open, async (side) => ({ add: await addRate(side, jobs), work: await workRate(side, jobs) }))

const manyRate = (open: Open) =>
  onRedis(open, async (side) => {
    await addRate(side, MANY_TENANTS)
    return workRate(side, MANY_TENANTS)
  })

const at = (perSecond: number, seconds: number, open: Open) =>
  onRedis(open, (side) => latency(side, perSecond, seconds))

async function steadily(rounds: number, seconds: number): Promise<{ measures: Measure[]; p50: number; p99: number }> {
  const p99s = new Map<Open, number[]>([ours, bullmq].map((side) => [side, []]))
  const p50s = await alternate([ours, bullmq], rounds, async (open) => {
    const { p50, p99 } = await at(STEADY, seconds, open)
    p99s.get(open)!.push(p99)
    return p50
  })
  const told = (side: string, what: string, values: number[]): Measure => ({
    side,
    unit: 'ms',
    what: `${what} at ${STEADY}/s`,
    values,
  })
  return {
    measures: [
      told('sluice', 'p50', p50s.get(ours)!),
      told('BullMQ', 'p50', p50s.get(bullmq)!),
      told('sluice', 'p99', p99s.get(ours)!),
      told('BullMQ', 'p99', p99s.get(bullmq)!),
    ],
    p50: median(p50s.get(ours)!) / median(p50s.get(bullmq)!),
    p99: median(p99s.get(ours)!) / median(p99s.get(bullmq)!),
  }
}

async function celerySide(seconds: number, install: boolean): Promise<[string, number, Measure['unit']][]> {
  const redis = await startRedis()
  try {
    const figures = await measureCelery(redis.url, { tasks: 2_000, perSecond: CELERY_RATE, seconds, install })
    if (!figures) return []
    const { publish, process, p50, p99 } = figures
    return [
      ['taken in', publish, 'req/s'],
      ['worked off, 2 processes', process, 'req/s'],
      [`p50 at ${CELERY_RATE}/s`, p50, 'ms'],
      [`p99 at ${CELERY_RATE}/s`, p99, 'ms'],
    ]
  } finally {
    await redis.stop()
  }
}
