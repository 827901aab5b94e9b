import { crowd, type Told } from '../crowd.ts'
import { askers, PROCESSES, REQUESTS, withFleet } from '../fleet.ts'
import type { RunningGateway } from '../gateway.ts'
import { type Origin, startOrigin } from '../origin.ts'
import { RELEASE_AT, start as startHold } from '../peers/hold.ts'
import type { Peer } from '../peers/peer.ts'
import { startRedis } from '../redis.ts'
import type { Goal, Measure, Row, RunOptions } from '../row.ts'
import { percentile } from '../stats.ts'

/** Longer than the second over which they come, so that no one comes too late to be part of the storm. */
const QUERY_MS = 1_500
const SPREAD_MS = 900

interface Storm {
  upstream: number
  errors: number
  leaders: number
  /** Ascending, ms after the leader's answer. */
  sameProcessMs: number[]
  otherProcessMs: number[]
}

export async function storm({ rounds }: RunOptions): Promise<Row> {
  const [origin, redis] = [await startOrigin(), await startRedis()]
  try {
    const ours: Storm[] = []
    const ideal: Storm[] = []
    for (let round = 0; round < rounds; round++) {
      ours.push(await withFleet(origin, redis, (fleet) => stormOf(fleet, origin, round)))
      ideal.push(await idealStorm())
    }
    return {
      name: 'storm',
      title: `${REQUESTS} identical misses over ${PROCESSES} processes on one Redis within one second`,
      measures: [
        { side: 'sluice', unit: 'requests', what: 'upstream', values: ours.map(({ upstream }) => upstream) },
        ...delays('sluice', ours),
        ...delays('node:http, all told at one instant', ideal),
      ],
      goals: goals(ours),
      remarks: remarks(ours),
    }
  } finally {
    await redis.stop()
    await origin.stop()
  }
}

async function stormOf(fleet: RunningGateway[], origin: Origin, round: number): Promise<Storm> {
  await warm(fleet, origin, round)
  await origin.reset({ delayMs: QUERY_MS })
  const told = await crowd(askers(fleet, 1_000 + round), { overMs: SPREAD_MS })
  const leaders = told.filter(({ cacheStatus }) => cacheStatus.includes('stored'))
  return {
    upstream: (await origin.counts()).requests,
    errors: told.filter(({ status }) => status !== 200).length,
    leaders: leaders.length,
    ...lags(told, leaders.length > 0 ? leaders : told),
  }
}

/** A smaller storm on another key, twice: a server in use has compiled its code. */
async function warm(fleet: RunningGateway[], origin: Origin, round: number): Promise<void> {
  await origin.reset({ delayMs: 200 })
  for (const again of [0, 1]) await crowd(askers(fleet, 5_000 + 2 * round + again), { overMs: 100 })
}

/** The same crowd before four processes that need no gateway to agree on the moment. */
async function idealStorm(): Promise<Storm> {
  const fleet: Peer[] = []
  try {
    while (fleet.length < PROCESSES) fleet.push(await startHold())
    const run = (overMs: number, heldMs: number) =>
      crowd(askers(fleet, 0, { [RELEASE_AT]: `${Date.now() + heldMs}` }), { overMs })
    for (let again = 0; again < 2; again++) await run(100, 1_000)
    const told = await run(SPREAD_MS, QUERY_MS + 500) // opening the connections takes part of it
    return { upstream: 0, errors: 0, leaders: 1, ...lags(told, told) }
  } finally {
    for (const peer of fleet) await peer.stop()
  }
}

function lags(told: Told[], leaders: Told[]): Pick<Storm, 'sameProcessMs' | 'otherProcessMs'> {
  const leader = leaders.reduce((first, one) => (one.endedAt < first.endedAt ? one : first))
  const followers = told.filter((one) => one !== leader && one.status === 200)
  const after = (those: Told[]) => those.map(({ endedAt }) => endedAt - leader.endedAt).sort((a, b) => a - b)
  return {
    sameProcessMs: after(followers.filter(({ url }) => url === leader.url)),
    otherProcessMs: after(followers.filter(({ url }) => url !== leader.url)),
  }
}

function delays(side: string, rounds: Storm[]): Measure[] {
  return [0.5, 0.99, 1].flatMap((share) => {
    const name = share === 1 ? 'slowest' : `p${share * 100}`
    const measure = (which: string, pick: (one: Storm) => number[]): Measure => ({
      side,
      unit: 'ms',
      what: `after the leader, ${which} process, ${name}`,
      values: rounds.map((one) => percentile(pick(one), share)),
    })
    return [measure('same', (one) => one.sameProcessMs), measure('other', (one) => one.otherProcessMs)]
  })
}

/** A promise about every request is judged by the slowest of the worst round, not by a median. */
function goals(rounds: Storm[]): Goal[] {
  const worst = (pick: (one: Storm) => number) => Math.max(...rounds.map(pick))
  const atMost = (what: string, unit: Goal['unit'], bound: number, pick: (one: Storm) => number): Goal => ({
    what,
    value: worst(pick),
    sense: '<=',
    bound,
    unit,
  })
  return [
    atMost('upstream requests', 'requests', 1, ({ upstream }) => upstream),
    atMost('errors', 'errors', 0, ({ errors }) => errors),
    atMost('slowest follower, same process', 'ms', 10, ({ sameProcessMs }) => percentile(sameProcessMs, 1)),
    atMost('slowest follower, other process', 'ms', 25, ({ otherProcessMs }) => percentile(otherProcessMs, 1)),
  ]
}

function remarks(rounds: Storm[]): string[] {
  const several = rounds.filter(({ leaders }) => leaders !== 1)
  return [
    'not pinned: gateways, Redis, origin and clients share all cores, and one client process reads every answer; "all told at one instant" shows what that alone costs',
    `the query takes ${QUERY_MS} ms`,
    ...several.map(
      ({ leaders }) => `a round had ${leaders} answers that say \`stored\`; times are after the first of them`,
    ),
  ]
}
