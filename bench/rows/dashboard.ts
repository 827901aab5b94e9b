import { type Asker, crowd } from '../crowd.ts'
import { startGateway } from '../gateway.ts'
import { startOrigin } from '../origin.ts'
import type { Row, RunOptions } from '../row.ts'
import { mint } from '../token.ts'
import { chartQuery } from '../workload.ts'

const USERS = 50
const CHARTS = 12
/** Users of one tenant whose row-level rules are the same share their answers (`identity: scope`). */
const SCOPES = ['north', 'south']
/** An upstream of usual width: eight queries at once, 200 ms each. */
const ORIGIN = { delayMs: 200, width: 8 }

export async function dashboard({ rounds }: RunOptions): Promise<Row> {
  const origin = await startOrigin(ORIGIN)
  const ours = await startGateway({ upstream: origin.url, identity: 'scope' })
  const users = Array.from({ length: USERS }, (_, user) => {
    const scope = SCOPES[user % SCOPES.length]!
    return mint({ tenant: 'acme', sub: `user-${user}`, rls_rules: [{ clause: `region = '${scope}'` }] })
  })
  const load = (url: string, round: number): Asker[] =>
    users.flatMap((token) =>
      Array.from({ length: CHARTS }, (_, n) => ({ url, query: chartQuery(round * CHARTS + n, token, 'gzip') })),
    )
  try {
    const sides = [
      { name: 'sluice', url: ours.url, upstream: [] as number[], lastMs: [] as number[] },
      { name: 'without', url: origin.url, upstream: [] as number[], lastMs: [] as number[] },
    ]
    const remarks: string[] = []
    for (let round = 0; round < rounds; round++)
      for (const side of round % 2 ? sides.toReversed() : sides) {
        await origin.reset(ORIGIN)
        const startAt = performance.now()
        const told = await crowd(load(side.url, round), { overMs: 0 })
        const failed = told.filter(({ status }) => status !== 200).length
        if (failed > 0) remarks.push(`${side.name}: ${failed} of ${told.length} failed`)
        side.upstream.push((await origin.counts()).requests)
        side.lastMs.push(Math.max(...told.map(({ endedAt }) => endedAt)) - startAt)
      }
    const most = Math.max(...sides[0]!.upstream)
    const fewest = Math.min(...sides[1]!.upstream)
    return {
      name: 'dashboard',
      title: `Dashboard storm: ${USERS} users × ${CHARTS} charts at once, cold; ${SCOPES.length} identities; the upstream runs ${ORIGIN.width} queries of ${ORIGIN.delayMs} ms at once`,
      measures: sides.flatMap(({ name, upstream, lastMs }) => [
        { side: name, unit: 'requests' as const, what: 'upstream', values: upstream },
        { side: name, unit: 'ms' as const, what: 'until the last chart', values: lastMs },
      ]),
      goals: [
        {
          what: 'upstream queries per identity',
          value: most / SCOPES.length,
          sense: '<=',
          bound: CHARTS,
          unit: 'requests',
        },
        { what: 'fewer than without', value: 100 * (1 - most / fewest), sense: '>=', bound: 95, unit: '%' },
      ],
      remarks,
    }
  } finally {
    await ours.stop()
    await origin.stop()
  }
}
