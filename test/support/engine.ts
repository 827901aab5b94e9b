import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { Redis } from 'ioredis'
import { freePort } from './ports.ts'
import { until } from './until.ts'

/** Long enough for a busy machine that reads a large append-only file. */
const STARTS_WITHIN_MS = 30_000
const COMMAND_TIMEOUT_MS = 10_000
/** How much of a server's log an error shows. */
const LOG_CHARACTERS = 2_000

export type Argument = string | number | Buffer

/** The program that every test's Redis is. `npm run test:long` runs the Redis suites a second time with Valkey here. */
export const serverProgram = (): string => process.env.SLUICE_TEST_REDIS_SERVER || 'redis-server'

/** Starts a server and resolves once it answers on `port`. It dies with the test process, however that ends. */
export async function launch(program: string, port: number, args: readonly string[]): Promise<ChildProcess> {
  // setpriv (util-linux) ties the server's life to ours, so that an interrupted run leaves nothing behind.
  const server = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const failure = failureOf(server, program)
  const isUp = () => {
    const error = failure()
    if (error) throw error
    return answers(port, server.pid!)
  }
  try {
    await until(isUp, `an answer of ${program}`, STARTS_WITHIN_MS)
  } catch (error) {
    if (server.pid !== undefined) await end(server)
    throw error
  }
  return server
}

/** Reads along what a server says, and tells why it has ended. */
function failureOf(server: ChildProcess, program: string): () => Error | undefined {
  let log = ''
  let failure: Error | undefined
  for (const stream of [server.stdout!, server.stderr!]) {
    stream.on('data', (data) => {
      log = (log + data).slice(-LOG_CHARACTERS)
    })
  }
  server.once('error', (cause) => {
    failure = new Error(`${program} could not be started; \`npm test\` installs redis-server`, { cause })
  })
  server.once('close', (code) => {
    failure ??= new Error(`${program} ended with ${code} before it answered\n${log}`)
  })
  return () => failure
}

/** SIGKILL, and waits until it is gone. */
export async function end(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const gone = once(server, 'exit')
  server.kill('SIGKILL')
  await gone
}

/**
 * One command, on a connection of its own: CLIENT KILL and restarts leave nothing to repair, CLIENT LIST shows nothing
 * but the test's connections. Rejects with the server's error.
 */
export const send = (port: number, name: string, ...args: Argument[]): Promise<unknown> =>
  converse(port, (redis) => redis.call(name, args))

/** Several commands on one connection, which is closed afterwards. It never reconnects. */
export async function converse<T>(port: number, talk: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis({
    host: '127.0.0.1',
    port,
    protocol: 2,
    lazyConnect: true,
    disableClientInfo: true,
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    commandTimeout: COMMAND_TIMEOUT_MS,
  })
  redis.on('error', () => {}) // the command itself rejects
  try {
    await redis.connect()
    return await talk(redis)
  } finally {
    redis.disconnect()
  }
}

/** Different loopback ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>()
  while (ports.size < count) ports.add(await freePort())
  return [...ports]
}

/** Whether the process itself is ready there: another test's server may have taken the port meanwhile. */
function answers(port: number, pid: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    const finish = (answered: boolean) => {
      socket.destroy()
      resolve(answered)
    }
    socket.setTimeout(1_000, () => finish(false))
    socket.once('connect', () => socket.write('INFO server\r\nPING\r\n'))
    socket.on('data', (data) => {
      text += data
      if (/^(\+PONG|-)/m.test(text)) finish(text.includes('+PONG') && text.includes(`process_id:${pid}\r\n`))
    })
    socket.once('error', () => finish(false))
  })
}
