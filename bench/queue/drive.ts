import { percentile } from '../stats.ts'
import type { QueueSide } from './side.ts'

/** Adds that are under way at a time. */
const IN_FLIGHT = 200

/** Jobs per second that the queue takes in. */
export async function addRate(side: QueueSide, count: number, payload = Buffer.alloc(300, 'x')): Promise<number> {
  const startedAt = performance.now()
  let next = 0
  const add = async () => {
    while (next++ < count) await side.add(payload)
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, add))
  return count / ((performance.now() - startedAt) / 1_000)
}

/** Jobs per second that are worked off, of `count` that stand in the line. */
export async function workRate(side: QueueSide, count: number): Promise<number> {
  const all = Promise.withResolvers<void>()
  let ended = 0
  const startedAt = performance.now()
  await side.work(() => {
    if (++ended === count) all.resolve()
  })
  await all.promise
  return count / ((performance.now() - startedAt) / 1_000)
}

/** From the adding to the end as it is told, ms, at a steady rate. Starts the side's workers. */
export async function latency(
  side: QueueSide,
  perSecond: number,
  seconds: number,
): Promise<{ p50: number; p99: number }> {
  const startedAt = new Map<string, number>()
  const tookMs: number[] = []
  const all = Promise.withResolvers<void>()
  const count = perSecond * seconds
  await side.work((payload) => {
    const key = payload.toString('latin1')
    tookMs.push(performance.now() - startedAt.get(key)!)
    startedAt.delete(key)
    if (tookMs.length === count) all.resolve()
  })
  const beganAt = performance.now()
  for (let n = 0; n < count; ) {
    const due = Math.min(count, Math.floor(((performance.now() - beganAt) / 1_000) * perSecond) + 1)
    for (; n < due; n++) {
      const key = `${side.name} ${n}`
      startedAt.set(key, performance.now())
      side.add(Buffer.from(key)).catch(all.reject)
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await all.promise
  const ascending = Float64Array.from(tookMs).sort()
  return { p50: percentile(ascending, 0.5), p99: percentile(ascending, 0.99) }
}
