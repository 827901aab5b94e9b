import { setTimeout as sleep } from 'node:timers/promises'
import { Connection } from './connection.ts'
import { type Query, wire } from './workload.ts'

/** One client of a crowd. */
export interface Asker {
  url: string
  query: Query
}

/** How it went for one of them; times on `performance.now()`'s clock of this process. */
export interface Told {
  /** Where it was asked first. */
  url: string
  status: number
  cacheStatus: string
  endedAt: number
  /** Its server died under it, and it asked another one, as a load balancer would. */
  moved: boolean
}

export interface CrowdOptions {
  /** The requests are sent evenly over this time. 0: all at once. */
  overMs: number
  /** Where to turn when a connection is lost; without it, that is an error (status 0). */
  moveTo?: (url: string) => string
}

/** Everybody has a connection of their own, open before the first request is sent. */
export async function crowd(askers: readonly Asker[], { overMs, moveTo }: CrowdOptions): Promise<Told[]> {
  const connections: Connection[] = []
  for (const { url } of askers) connections.push(await Connection.open(url)) // in turn: no listen queue overflows
  const startAt = performance.now()
  const told = await Promise.all(
    askers.map(async ({ url, query }, at) => {
      const waitMs = startAt + (at * overMs) / askers.length - performance.now()
      if (waitMs > 1) await sleep(waitMs)
      return ask(connections[at]!, url, query, moveTo)
    }),
  )
  for (const connection of connections) connection.close()
  return told
}

async function ask(connection: Connection, url: string, query: Query, moveTo: CrowdOptions['moveTo']): Promise<Told> {
  const moved = !connection.isOpen
  try {
    return toTold(url, moved, await connection.ask(wire(query, new URL(url).host)))
  } catch {
    if (!moveTo) return { url, status: 0, cacheStatus: '', endedAt: performance.now(), moved }
    const next = moveTo(url)
    const other = await Connection.open(next)
    const answer = await ask(other, next, query, undefined)
    other.close()
    return { ...answer, url, moved: true }
  }
}

function toTold(url: string, moved: boolean, { status, head, endedAt }: Awaited<ReturnType<Connection['ask']>>): Told {
  return { url, status, cacheStatus: /\r\ncache-status: *([^\r]*)/i.exec(head)?.[1] ?? '', endedAt, moved }
}
