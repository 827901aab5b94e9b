import { startGateway } from '../gateway.ts'
import { startOrigin } from '../origin.ts'
import { start as startHttpProxy } from '../peers/http-proxy.ts'
import { alternate, type Goal, type Row, type RunOptions, ratio } from '../row.ts'
import { plainQueries } from '../workload.ts'
import { throughput } from '../wrk.ts'

export async function proxy({ rounds, seconds }: RunOptions): Promise<Row> {
  const origin = await startOrigin()
  const ours = await startGateway({ upstream: origin.url })
  const kept = await startHttpProxy({ origin: origin.url, keepAlive: true })
  const plain = await startHttpProxy({ origin: origin.url, keepAlive: false })
  try {
    const sides = [
      { name: 'sluice', url: ours.url },
      { name: 'http-proxy-3, keep-alive agent', url: kept.url },
      { name: 'http-proxy-3, as it comes', url: plain.url },
    ]
    const queries = plainQueries('/pass')
    const remarks: string[] = []
    for (const { url } of sides) await throughput(url, queries, 2)
    const values = await alternate(sides, rounds, async ({ name, url }) => {
      const told = await throughput(url, queries, seconds)
      if (told.failed > 0) remarks.push(`${name}: ${told.failed} answers failed`)
      return told.perSecond
    })
    const [sluice, withAgent, without] = sides.map((side) => values.get(side)!)
    const goal = (what: string, theirs: number[]): Goal => ({
      what,
      value: ratio(sluice!, theirs),
      sense: '>=',
      bound: 1,
      unit: '×',
    })
    return {
      name: 'proxy',
      title: 'mode: proxy, GET, 2 KiB, 64 connections; the origin shares the core of the load',
      measures: sides.map((side) => ({ side: side.name, unit: 'req/s', what: 'passed', values: values.get(side)! })),
      goals: [
        goal('of http-proxy-3 with a keep-alive agent', withAgent!),
        goal('of http-proxy-3 as it comes', without!),
      ],
      remarks,
    }
  } finally {
    for (const part of [ours, kept, plain, origin]) await part.stop()
  }
}
