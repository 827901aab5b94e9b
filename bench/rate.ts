/**
 * Latency under a constant rate: an open loop. Request n is due at n/rate whatever became of the ones before, and its
 * latency counts from when it was due, so that a server that stalls is charged for everybody it kept waiting (no
 * "coordinated omission"). A request that finds every connection busy waits in line, and that wait counts too.
 *
 * The sender is a process of its own that spins on its core: timers are too coarse for thousands of sends per second.
 *
 *   node bench/rate.ts URL REQUEST_FILE PER_SECOND SECONDS     prints one line of JSON
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { launchScript } from './children.ts'
import { Connection } from './connection.ts'
import { percentile } from './stats.ts'
import type { Query } from './workload.ts'
import { requestFile } from './wrk.ts'

export interface Latency {
  p50Ms: number
  p99Ms: number
  maxMs: number
  /** What was really sent; below what was asked, the load generator or the server could not keep up. */
  perSecond: number
  failed: number
}

const CONNECTIONS = 64
const GIVE_UP_MS = 10_000
const CLOSING = /\r\nconnection: *close/i
/** A connection that cannot be had again is missed by the requests that then wait in line, and so it is counted. */
const ignoreRefusal = () => {}

export async function latencyAt(perSecond: number, url: string, queries: Query[], seconds: number): Promise<Latency> {
  const args = [url, requestFile(url, queries), `${perSecond}`, `${seconds}`]
  const sender = launchScript(import.meta.filename, args, { place: 'load', piped: true })
  let output = ''
  sender.process.stdout!.on('data', (text: Buffer) => {
    output += text.toString()
  })
  const [code] = (await once(sender.process, 'close')) as [number | null]
  if (code !== 0) throw new Error(`the sender failed with ${code}`)
  return JSON.parse(output) as Latency
}

async function send(url: string, requests: Buffer[], perSecond: number, seconds: number): Promise<Latency> {
  const total = Math.floor(perSecond * seconds)
  const idle = await Promise.all(Array.from({ length: CONNECTIONS }, () => Connection.open(url)))
  const latenciesMs = new Float64Array(total)
  const startAt = performance.now() + 50
  const dueAt = (n: number) => startAt + (n * 1_000) / perSecond
  let [sent, answered, failed, endedAt] = [0, 0, 0, startAt]

  const sendOne = (connection: Connection, n: number) =>
    connection.send(requests[n % requests.length]!, (_error, answer) => {
      endedAt = performance.now()
      latenciesMs[answered++] = endedAt - dueAt(n)
      if (answer?.status !== 200) failed++
      if (connection.isOpen && answer && !CLOSING.test(answer.head)) return void idle.push(connection)
      connection.close()
      void Connection.open(url).then((fresh) => idle.push(fresh), ignoreRefusal)
    })

  await new Promise<void>((resolve) => {
    const turn = () => {
      const now = performance.now()
      while (sent < total && dueAt(sent) <= now && idle.length > 0) sendOne(idle.pop()!, sent++)
      if (answered === total || now > dueAt(total) + GIVE_UP_MS) return resolve()
      setImmediate(turn)
    }
    turn()
  })
  const lost = total - answered
  const sorted = latenciesMs.subarray(0, answered).sort()
  return {
    p50Ms: percentile(sorted, 0.5),
    p99Ms: lost > total / 100 ? GIVE_UP_MS : percentile(sorted, 0.99),
    maxMs: lost > 0 ? GIVE_UP_MS : percentile(sorted, 1),
    perSecond: Math.round((answered * 1_000) / (endedAt - startAt)),
    failed: failed + lost,
  }
}

function readRequests(file: string): Buffer[] {
  const bytes = readFileSync(file)
  const requests: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const newline = bytes.indexOf(10, at)
    const length = Number(bytes.subarray(at, newline).toString())
    requests.push(bytes.subarray(newline + 1, newline + 1 + length))
    at = newline + 1 + length
  }
  return requests
}

if (import.meta.main) {
  const [url, file, perSecond, seconds] = process.argv.slice(2)
  const latency = await send(url!, readRequests(file!), Number(perSecond), Number(seconds))
  process.stdout.write(JSON.stringify(latency), () => process.exit(0))
}
