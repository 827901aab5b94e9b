import { installed } from '../children.ts'
import { startGateway } from '../gateway.ts'
import type { Origin } from '../origin.ts'
import { startOrigin } from '../origin.ts'
import { start as startHaproxy } from '../peers/haproxy.ts'
import { start as startNginx } from '../peers/nginx.ts'
import { start as startNode } from '../peers/node.ts'
import type { Peer } from '../peers/peer.ts'
import { start as startVarnish } from '../peers/varnish.ts'
import { latencyAt } from '../rate.ts'
import { alternate, type Goal, type Measure, type Row, type RunOptions, ratio } from '../row.ts'
import { median } from '../stats.ts'
import { dashboardQueries, plainQueries, type Query } from '../workload.ts'
import { throughput } from '../wrk.ts'

/** One way of asking one server. */
interface Side {
  name: string
  url: string
  queries: Query[]
}

const ENCODED = dashboardQueries('gzip, br, zstd')
const PLAIN = dashboardQueries()

const OURS = 'sluice'
const OURS_PLAIN = 'sluice, no Accept-Encoding'
const OURS_SILENT = 'sluice, access log off'
const NODE = 'node:http'
const NGINX = 'nginx, auth_request'
const NGINX_CACHED = 'nginx, auth_request cached 10 s'

export async function near(options: RunOptions): Promise<Row> {
  const origin = await startOrigin()
  const open: Peer[] = []
  try {
    const sides = await startSides(origin, open)
    const remarks: string[] = []
    for (const side of sides) await warm(side, origin, remarks)
    const values = await alternate(sides, options.rounds, async (side) => {
      const told = await throughput(side.url, side.queries, options.seconds)
      if (told.failed > 0) remarks.push(`${side.name}: ${told.failed} answers failed`)
      return told.perSecond
    })
    const measures = sides.map<Measure>((side) => ({
      side: side.name,
      unit: 'req/s',
      what: 'hits',
      values: values.get(side)!,
    }))
    const latency = await latencies(sides, measures, options, remarks)
    return {
      name: 'near',
      title: "Hits from the process's own memory: POST, JWT, JSON key, 2 KiB body, 64 connections, one core",
      measures: [...measures, ...latency],
      goals: goals(measures, latency),
      remarks: [...remarks, ...REMARKS],
    }
  } finally {
    for (const peer of open) await peer.stop()
    await origin.stop()
  }
}

const REMARKS = [
  'ten users × fifty queries, so 500 entries; sluice writes its access log to a file (as shipped), nobody else writes one',
  'HAProxy and Varnish keep no POST and nothing with a token: they answer GETs without either, and check nothing',
]

async function startSides(origin: Origin, open: Peer[]): Promise<Side[]> {
  const add = async <P extends Peer>(peer: Promise<P>): Promise<string> => {
    open.push(await peer)
    return (await peer).url
  }
  const ours = await add(startGateway({ upstream: origin.url }))
  const sides: Side[] = [
    { name: OURS, url: ours, queries: ENCODED },
    { name: OURS_PLAIN, url: ours, queries: PLAIN },
    { name: OURS_SILENT, url: await add(startGateway({ upstream: origin.url, accessLog: false })), queries: ENCODED },
    { name: NODE, url: await add(startNode()), queries: ENCODED },
  ]
  if (installed('nginx')) {
    const nginx = (cacheAuth: boolean) => add(startNginx({ origin: origin.url, cacheAuth }))
    sides.push({ name: NGINX, url: await nginx(false), queries: ENCODED })
    sides.push({ name: NGINX_CACHED, url: await nginx(true), queries: ENCODED })
  }
  if (installed('haproxy'))
    sides.push({ name: 'HAProxy, GET', url: await add(startHaproxy({ origin: origin.url })), queries: plainQueries() })
  if (installed('varnishd'))
    sides.push({ name: 'Varnish, GET', url: await add(startVarnish({ origin: origin.url })), queries: plainQueries() })
  return sides
}

/** Fills the cache and lets the compiler settle; then the origin must hear nothing more, or these are no hits. */
async function warm(side: Side, origin: Origin, remarks: string[]): Promise<void> {
  await throughput(side.url, side.queries, 2)
  await origin.reset()
  await throughput(side.url, side.queries, 1)
  const { requests } = await origin.counts()
  if (requests > 0)
    remarks.push(`${side.name}: the origin was asked ${requests} times by a warm second; not all were hits`)
}

/** Both at one rate, half of what the slower can do: far from saturation, where p99 would say nothing but "full". */
async function latencies(
  sides: Side[],
  measures: Measure[],
  { rounds, seconds }: RunOptions,
  remarks: string[],
): Promise<Measure[]> {
  const compared = sides.filter(({ name }) => name === OURS || name === NODE || name === NGINX)
  const capacity = Math.min(...measures.filter((m) => m.side === OURS || m.side === NODE).map((m) => median(m.values)))
  const rate = Math.round(capacity / 2 / 100) * 100
  const p50 = new Map<Side, number[]>(compared.map((side) => [side, []]))
  const p99 = await alternate(compared, rounds, async (side) => {
    const told = await latencyAt(rate, side.url, side.queries, seconds)
    if (told.failed > 0) remarks.push(`${side.name} at ${rate} req/s: ${told.failed} failed`)
    if (told.perSecond < rate * 0.98) remarks.push(`${side.name}: only ${told.perSecond} of ${rate} req/s went out`)
    p50.get(side)!.push(told.p50Ms)
    return told.p99Ms
  })
  return compared.flatMap<Measure>((side) => [
    { side: side.name, unit: 'ms', what: `p50 at ${rate} req/s`, values: p50.get(side)! },
    { side: side.name, unit: 'ms', what: `p99 at ${rate} req/s`, values: p99.get(side)! },
  ])
}

function goals(measures: Measure[], latency: Measure[]): Goal[] {
  const hits = (side: string) => measures.find((m) => m.side === side)?.values
  const p99 = (side: string) => latency.find((m) => m.side === side && m.what.startsWith('p99'))!.values
  const atLeast = (what: string, ours: string, theirs: string, bound: number): Goal[] => {
    const values = hits(theirs)
    return values ? [{ what, value: ratio(hits(ours)!, values), sense: '>=', bound, unit: '×' }] : []
  }
  return [
    ...atLeast('of bare node:http', OURS, NODE, 0.8),
    ...atLeast('of bare node:http, no Accept-Encoding', OURS_PLAIN, NODE, 0.8),
    ...atLeast('of nginx with auth_request and proxy_cache', OURS, NGINX, 1.2),
    { what: "p99, of bare node:http's", value: ratio(p99(OURS), p99(NODE)), sense: '<=', bound: 2, unit: '×' },
  ]
}
