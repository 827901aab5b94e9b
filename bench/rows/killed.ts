import { setTimeout as sleep } from 'node:timers/promises'
import { crowd } from '../crowd.ts'
import { askers, PROCESSES, REQUESTS, withFleet } from '../fleet.ts'
import type { RunningGateway } from '../gateway.ts'
import { type Origin, startOrigin } from '../origin.ts'
import { startRedis } from '../redis.ts'
import type { Row, RunOptions } from '../row.ts'

const QUERY_MS = 3_000
/** By then everyone waits, and the query is far from done. */
const KILL_AFTER_MS = 1_000
const LEASE_MS = 5_000
const GIVE_UP_MS = 10_000

interface Killed {
  upstream: number
  errors: number
  moved: number
  /** From the kill to the last answer. */
  lastMs: number
}

export async function killed({ rounds }: RunOptions): Promise<Row> {
  const [origin, redis] = [await startOrigin(), await startRedis()]
  try {
    const all: Killed[] = []
    for (let round = 0; round < rounds; round++)
      all.push(await withFleet(origin, redis, (fleet) => killedStorm(fleet, origin, round)))
    const values = (pick: (one: Killed) => number) => all.map(pick)
    const worst = (pick: (one: Killed) => number) => Math.max(...values(pick))
    const side = 'sluice'
    return {
      name: 'killed',
      title: `The same ${REQUESTS} misses over ${PROCESSES} processes, the leader ended by SIGKILL while it waits`,
      measures: [
        { side, unit: 'requests', what: 'upstream', values: values(({ upstream }) => upstream) },
        { side, unit: 'requests', what: 'clients that lost their server', values: values(({ moved }) => moved) },
        { side, unit: 'ms', what: 'last answer after the kill', values: values(({ lastMs }) => lastMs) },
      ],
      goals: [
        {
          what: 'upstream requests',
          value: worst(({ upstream }) => upstream),
          sense: '<=',
          bound: 2,
          unit: 'requests',
        },
        { what: 'errors', value: worst(({ errors }) => errors), sense: '<=', bound: 0, unit: 'errors' },
        {
          what: 'last answer: one lease and the query',
          value: worst(({ lastMs }) => lastMs),
          sense: '<=',
          bound: LEASE_MS + QUERY_MS,
          unit: 'ms',
        },
      ],
      remarks: [
        `the query takes ${QUERY_MS} ms and the kill comes ${KILL_AFTER_MS} ms into it; clients of the killed process ask the next one, as behind a load balancer`,
      ],
    }
  } finally {
    await redis.stop()
    await origin.stop()
  }
}

async function killedStorm(fleet: RunningGateway[], origin: Origin, round: number): Promise<Killed> {
  await origin.reset({ delayMs: QUERY_MS })
  const next = (url: string) => fleet[(fleet.findIndex((gateway) => gateway.url === url) + 1) % fleet.length]!.url
  const storm = crowd(askers(fleet, 2_000 + round), { overMs: KILL_AFTER_MS / 2, moveTo: next })
  const leader = fleet[await leaderAt(origin)]!
  await sleep(KILL_AFTER_MS)
  leader.child.process.kill('SIGKILL')
  const killedAt = performance.now()
  const told = await storm
  return {
    upstream: (await origin.counts()).requests,
    errors: told.filter(({ status }) => status !== 200).length,
    moved: told.filter(({ moved }) => moved).length,
    lastMs: Math.max(...told.map(({ endedAt }) => endedAt)) - killedAt,
  }
}

/** Which gateway asked the origin first: the n-th calls 127.0.0.n. */
async function leaderAt(origin: Origin): Promise<number> {
  for (const until = performance.now() + GIVE_UP_MS; performance.now() < until; await sleep(20)) {
    const [address] = Object.keys((await origin.counts()).byAddress)
    if (address) return Number(address.split('.').pop()) - 1
  }
  throw new Error('nobody asked the origin')
}
