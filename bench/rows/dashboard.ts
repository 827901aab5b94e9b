import { type Asker, crowd } from '../crowd.ts'
import { startGateway } from '../gateway.ts'
import { startOrigin } from '../origin.ts'
import type { Row, RunOptions } from '../row.ts'
import { mint } from '../token.ts'
import { chartQuery } from '../workload.ts'

const USERS = 50
const CHARTS = 12
/** Users of one tenant whose row-level rules are the same share their answers (`identity: scope`): three identities. */
const TENANTS = ['acme', 'globex', 'initech']
/** An upstream of usual width: eight queries at once, 200 ms each. */
const ORIGIN = { delayMs: 200, width: 8 }

const tenantOf = (user: number): string => TENANTS[user % TENANTS.length]!

export async function dashboard({ rounds }: RunOptions): Promise<Row> {
  const origin = await startOrigin(ORIGIN)
  const ours = await startGateway({ upstream: origin.url, identity: 'scope' })
  const users = Array.from({ length: USERS }, (_, user) => {
    return mint({ tenant: tenantOf(user), sub: `user-${user}`, rls_rules: [{ clause: `region = 'north'` }] })
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
    /** Of the tenants' last charts, the latest by the earliest: 1 when all are served alike. */
    const unfair: number[] = []
    for (let round = 0; round < rounds; round++)
      for (const side of round % 2 ? sides.toReversed() : sides) {
        await origin.reset(ORIGIN)
        const startAt = performance.now()
        const told = await crowd(load(side.url, round), { overMs: 0 })
        const failed = told.filter(({ status }) => status !== 200).length
        if (failed > 0) remarks.push(`${side.name}: ${failed} of ${told.length} failed`)
        side.upstream.push((await origin.counts()).requests)
        const lasts = TENANTS.map((tenant) =>
          Math.max(
            ...told
              .filter((_, at) => tenantOf(Math.floor(at / CHARTS)) === tenant)
              .map(({ endedAt }) => endedAt - startAt),
          ),
        )
        side.lastMs.push(Math.max(...lasts))
        if (side.name === 'sluice') unfair.push(Math.max(...lasts) / Math.min(...lasts))
      }
    const most = Math.max(...sides[0]!.upstream)
    const fewest = Math.min(...sides[1]!.upstream)
    remarks.push(
      `${most} upstream queries for ${fewest} without: ${Math.round(100 * (1 - most / fewest))} % fewer, and ${CHARTS} an identity are as few as can be`,
    )
    return {
      name: 'dashboard',
      title: `Dashboard storm: ${USERS} users × ${CHARTS} charts at once, cold; ${TENANTS.length} tenants, an identity each; the upstream runs ${ORIGIN.width} queries of ${ORIGIN.delayMs} ms at once`,
      measures: sides.flatMap(({ name, upstream, lastMs }) => [
        { side: name, unit: 'requests' as const, what: 'upstream', values: upstream },
        { side: name, unit: 'ms' as const, what: 'until the last chart', values: lastMs },
      ]),
      goals: [
        {
          what: 'upstream queries per identity',
          value: most / TENANTS.length,
          sense: '<=',
          bound: CHARTS,
          unit: 'requests',
        },
        {
          what: 'last chart of the slowest tenant by the quickest',
          value: Math.max(...unfair),
          sense: '<=',
          bound: 2,
          unit: '×',
        },
      ],
      remarks,
    }
  } finally {
    await ours.stop()
    await origin.stop()
  }
}
