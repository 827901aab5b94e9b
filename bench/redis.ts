import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { freePort } from '../test/support/ports.ts'
import { type Child, launch, scratch } from './children.ts'

export interface BenchRedis {
  url: string
  /** For looking at it from outside; not what is measured. */
  client: Redis
  /** A number out of INFO. */
  info(section: string, field: string): Promise<number>
  stop(): Promise<void>
}

/** A redis-server of our own: no persistence, so that only what is asked of it costs anything. */
export async function startRedis(): Promise<BenchRedis> {
  const port = await freePort()
  const settings = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
  const child = launch('redis-server', [...settings, '--dir', scratch('redis')], { place: 'behind', log: '/dev/null' })
  await listening(port, child)
  const url = `redis://127.0.0.1:${port}/0`
  const client = new Redis(url)
  const info = async (section: string, field: string) => {
    const text = await client.info(section)
    return Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(text)?.[1])
  }
  const stop = async () => {
    client.disconnect()
    await child.stop()
  }
  return { url, client, info, stop }
}

async function listening(port: number, child: Child): Promise<void> {
  for (;;) {
    if (child.process.exitCode !== null) throw new Error('redis-server did not start')
    const socket = connect(port, '127.0.0.1')
    const answered = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (answered) return
    await sleep(20)
  }
}
