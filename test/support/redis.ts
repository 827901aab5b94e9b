import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './ports.ts'

/** A real redis-server of the test's own, on a free loopback port. It dies with the test process, however that ends. */
export interface TestRedis extends AsyncDisposable {
  readonly port: number
  readonly url: string
  /** SIGSTOP: the server is there but does not answer. */
  pause(): void
  resume(): void
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>
  /** Starts it again on the same port, empty. */
  restart(): Promise<void>
}

export async function startRedis(...args: string[]): Promise<TestRedis> {
  const port = await freePort()
  const dir = mkdtempSync(join(tmpdir(), 'sluice-redis-'))
  const launch = () => launchRedis(port, dir, args)
  let server = await launch()
  const kill = async () => {
    if (server.exitCode !== null || server.signalCode !== null) return
    server.kill('SIGKILL')
    await once(server, 'exit')
  }
  return {
    port,
    url: `redis://127.0.0.1:${port}/0`,
    pause: () => void server.kill('SIGSTOP'),
    resume: () => void server.kill('SIGCONT'),
    kill,
    restart: async () => {
      await kill()
      server = await launch()
    },
    [Symbol.asyncDispose]: async () => {
      await kill()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

async function launchRedis(port: number, dir: string, args: string[]): Promise<ChildProcess> {
  const settings = [
    '--port',
    `${port}`,
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--dir',
    dir,
    ...args,
  ]
  // setpriv (util-linux) ties the server's life to ours, so that an interrupted run leaves nothing behind.
  const server = spawn('setpriv', ['--pdeathsig', 'KILL', 'redis-server', ...settings], { stdio: 'ignore' })
  server.once('error', (error) => {
    throw new Error('redis-server could not be started; `npm test` installs it, or: apt-get install redis-server', {
      cause: error,
    })
  })
  for (;;) {
    if (server.exitCode !== null) throw new Error(`redis-server ended with ${server.exitCode} before it answered`)
    if (await answers(port)) return server
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const end = (answered: boolean) => {
      socket.destroy()
      resolve(answered)
    }
    socket.once('connect', () => socket.write('PING\r\n'))
    socket.once('data', (data) => end(data.toString().startsWith('+PONG')))
    socket.once('error', () => end(false))
  })
}
