import type { Asker } from './crowd.ts'
import { type RunningGateway, startGateway } from './gateway.ts'
import type { Origin } from './origin.ts'
import type { BenchRedis } from './redis.ts'
import { mint } from './token.ts'
import { chartQuery } from './workload.ts'

export const PROCESSES = 4
export const REQUESTS = 1_000

/** Gateways on one Redis, unpinned. Each calls the origin at a loopback address of its own, which tells who led. */
export async function withFleet<T>(
  origin: Origin,
  redis: BenchRedis,
  run: (fleet: RunningGateway[]) => Promise<T>,
): Promise<T> {
  const fleet: RunningGateway[] = []
  try {
    for (let n = 1; n <= PROCESSES; n++) {
      const upstream = `http://127.0.0.${n}:${origin.port}`
      fleet.push(await startGateway({ upstream, redisUrl: redis.url, place: 'anywhere' }))
    }
    return await run(fleet)
  } finally {
    for (const gateway of fleet) await gateway.stop()
  }
}

/** The same question from everyone, evenly over the fleet. Another `chart` is another question. */
export function askers(
  fleet: readonly { url: string }[],
  chart: number,
  headers: Record<string, string> = {},
): Asker[] {
  const asked = chartQuery(chart, mint({ tenant: 'acme', sub: 'ada' }), 'gzip, br, zstd')
  const query = { ...asked, headers: { ...asked.headers, ...headers } }
  return Array.from({ length: REQUESTS }, (_, at) => ({ url: fleet[at % fleet.length]!.url, query }))
}
