import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { launch, scratch } from './children.ts'
import { type Query, wire } from './workload.ts'

export interface Throughput {
  perSecond: number
  bytesPerAnswer: number
  failed: number
}

const CONNECTIONS = 64

/** A closed loop of 64 connections: how much a server can do. Its latencies say nothing, and are not reported. */
export async function throughput(url: string, queries: Query[], seconds: number): Promise<Throughput> {
  const file = requestFile(url, queries)
  const script = join(import.meta.dirname, 'wrk.lua')
  const args = ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '--timeout', '5s', '-s', script, url, file]
  const wrk = launch('wrk', args, { place: 'load', piped: true })
  let output = ''
  wrk.process.stdout!.on('data', (text: Buffer) => {
    output += text.toString()
  })
  const [code] = (await once(wrk.process, 'close')) as [number | null]
  const line = output.split('\n').find((text) => text.startsWith('{'))
  if (code !== 0 || !line) throw new Error(`wrk failed with ${code}: ${output}`)
  const told = JSON.parse(line) as { requests: number; durationUs: number; bytes: number; failed: number }
  return {
    perSecond: told.requests / (told.durationUs / 1e6),
    bytesPerAnswer: told.bytes / Math.max(1, told.requests),
    failed: told.failed,
  }
}

/** The queries, addressed to `url`, as bench/wrk.lua and bench/rate.ts read them. */
export function requestFile(url: string, queries: Query[]): string {
  const file = join(scratch('requests'), 'requests')
  const framed = queries
    .map((query) => wire(query, new URL(url).host))
    .map((bytes) => [Buffer.from(`${bytes.length}\n`), bytes])
  writeFileSync(file, Buffer.concat(framed.flat()))
  return file
}
