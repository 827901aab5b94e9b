import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Argument, end, freePorts, launch, send, serverProgram } from './engine.ts'

/** A real redis-server of the test's own, on a free loopback port. It dies with the test process, however that ends. */
export interface TestRedis extends AsyncDisposable {
  readonly port: number
  readonly url: string
  /** SIGSTOP: the server is there but does not answer. */
  pause(): void
  resume(): void
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>
  /**
   * Kills it if it still runs, and starts it again on the same port with the same arguments and folder. It comes back
   * empty, unless it was started with `--appendonly yes`: then with its data. `--appendfsync always` keeps everything
   * it acknowledged; `everysec` may lose what it acknowledged in the last 2 s.
   */
  restart(): Promise<void>
  /** For what is done to the server from outside: INFO, CONFIG, SLOWLOG, CLIENT KILL, SCRIPT FLUSH. */
  command(name: string, ...args: Argument[]): Promise<unknown>
}

/** The program is SLUICE_TEST_REDIS_SERVER, else redis-server; `args` come after the defaults and win over them. */
export async function startRedis(...args: string[]): Promise<TestRedis> {
  const [port, busPort] = (await freePorts(2)) as [number, number]
  const dir = mkdtempSync(join(tmpdir(), 'sluice-redis-'))
  const settings = [...defaults(port, dir), ...(args.includes('--cluster-enabled') ? bus(busPort) : []), ...args]
  const program = serverProgram()
  const start = () => launch(program, port, settings)
  const forget = () => rmSync(dir, { recursive: true, force: true })
  let server = await start().catch((error) => {
    forget()
    throw error
  })
  return {
    port,
    url: `redis://127.0.0.1:${port}/0`,
    pause: () => void server.kill('SIGSTOP'),
    resume: () => void server.kill('SIGCONT'),
    kill: () => end(server),
    restart: async () => {
      await end(server)
      server = await start()
    },
    command: (name, ...rest) => send(port, name, ...rest),
    [Symbol.asyncDispose]: async () => {
      await end(server)
      forget()
    },
  }
}

function defaults(port: number, dir: string): string[] {
  return ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no']
}

/** Else the cluster's bus is at port + 10000, which for every fifth free port is none. */
const bus = (port: number) => ['--cluster-port', `${port}`]
