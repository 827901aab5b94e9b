import { startGateway } from '../gateway.ts'
import { startOrigin } from '../origin.ts'
import { start as startNodeRedis } from '../peers/node-redis.ts'
import { type BenchRedis, startRedis } from '../redis.ts'
import { alternate, type Row, type RunOptions, ratio } from '../row.ts'
import { dashboardQueries } from '../workload.ts'
import { throughput } from '../wrk.ts'

export async function far({ rounds, seconds }: RunOptions): Promise<Row> {
  const [origin, redis] = [await startOrigin(), await startRedis()]
  const queries = dashboardQueries('gzip, br, zstd')
  const ours = await startGateway({ upstream: origin.url, redisUrl: redis.url, near: false })
  const peer = await startNodeRedis({ redisUrl: redis.url, bodies: queries.map(({ body }) => body) })
  try {
    const sides = [
      { name: 'sluice', url: ours.url },
      { name: 'node:http + Redis GET', url: peer.url },
    ]
    const remarks: string[] = []
    for (const { url } of sides) await throughput(url, queries, 2)
    await origin.reset()
    const values = await alternate(sides, rounds, async ({ name, url }) => {
      const before = await commands(redis)
      const told = await throughput(url, queries, seconds)
      if (told.failed > 0) remarks.push(`${name}: ${told.failed} answers failed`)
      const perAnswer = ((await commands(redis)) - before) / (told.perSecond * seconds)
      if (perAnswer < 0.95)
        remarks.push(`${name}: only ${perAnswer.toFixed(2)} Redis commands per answer, so not all came from Redis`)
      return told.perSecond
    })
    const { requests } = await origin.counts()
    if (requests > 0) remarks.push(`the origin was asked ${requests} times; not all were hits`)
    const [sluice, node] = sides.map((side) => values.get(side)!)
    return {
      name: 'far',
      title: 'Hits from Redis, the near tier off; Redis shares the core of the load',
      measures: sides.map((side) => ({ side: side.name, unit: 'req/s', what: 'hits', values: values.get(side)! })),
      goals: [
        {
          what: 'of bare node:http with one Redis GET',
          value: requests > 0 ? Number.NaN : ratio(sluice!, node!),
          sense: '>=',
          bound: 0.8,
          unit: '×',
        },
      ],
      remarks,
    }
  } finally {
    for (const part of [ours, peer, redis, origin]) await part.stop()
  }
}

const commands = (redis: BenchRedis) => redis.info('stats', 'total_commands_processed')
