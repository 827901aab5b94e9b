import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Every process that a bench starts goes through here, so that none outlives it: setpriv ties its life to ours, and the
 * exit handler covers what setpriv cannot (grandchildren in the same process group).
 */
const running = new Set<ChildProcess>()
const folders: string[] = []

process.on('exit', () => {
  for (const child of running) killGroup(child, 'SIGKILL')
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130))

/** What runs where. The thing measured has a core of its own; with two cores, everything else shares the second. */
export type Place = 'server' | 'load' | 'behind' | 'anywhere'

const cores = availableParallelism()
const CORE: Record<Place, number | undefined> = {
  server: cores > 1 ? 0 : undefined,
  load: cores > 1 ? 1 : undefined,
  behind: cores > 1 ? Math.min(2, cores - 1) : undefined, // origins and Redis
  anywhere: undefined,
}

export interface Child {
  readonly pid: number
  readonly process: ChildProcess
  /** SIGTERM, and SIGKILL to what is left after three seconds. */
  stop(): Promise<void>
}

export interface Launch {
  place: Place
  cwd?: string
  env?: Record<string, string>
  /** A file for its output; otherwise errors are shown and the rest is dropped. */
  log?: string
  /** Its standard output is wanted by the caller. */
  piped?: boolean
}

export function launch(command: string, args: string[], { place, cwd, env, log, piped }: Launch): Child {
  const core = CORE[place]
  const pinned = core === undefined ? [command, ...args] : ['taskset', '-c', `${core}`, command, ...args]
  const sink = log === undefined ? undefined : openSync(log, 'a')
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...pinned], {
    cwd,
    env: { ...process.env, ...env },
    detached: true, // a group of its own, which can be ended as one
    stdio: ['ignore', piped ? 'pipe' : (sink ?? 'ignore'), sink ?? 'inherit'],
  })
  if (sink !== undefined) closeSync(sink)
  running.add(child)
  child.once('exit', () => running.delete(child))
  child.once('error', (error) => {
    throw new Error(`${command} could not be started`, { cause: error })
  })
  return { pid: child.pid!, process: child, stop: () => stop(child) }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  killGroup(child, 'SIGTERM')
  await Promise.race([gone, sleep(3_000, undefined, { ref: false })])
  killGroup(child, 'SIGKILL')
  await gone
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-child.pid!, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** A folder that is gone when the bench is. Others may enter it: nginx and Varnish change their user. */
export function scratch(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `sluice-bench-${name}-`))
  spawnSync('chmod', ['755', folder])
  folders.push(folder)
  return folder
}

/** Runs one of our own scripts as a child. */
export function launchScript(file: string, args: string[], options: Launch): Child {
  return launch(process.execPath, [file, ...args], options)
}

/** Waits until `url` answers with a status below 500, or says whose fault it is. */
export async function answering(url: string, child: Child, timeoutMs = 15_000): Promise<void> {
  for (const until = performance.now() + timeoutMs; performance.now() < until; await sleep(25)) {
    if (child.process.exitCode !== null) throw new Error(`${url}: its process ended with ${child.process.exitCode}`)
    const answer = await fetch(url).catch(() => undefined)
    await answer?.body?.cancel()
    if (answer && answer.status < 500) return
  }
  throw new Error(`${url} did not answer within ${timeoutMs} ms`)
}

export function installed(program: string): boolean {
  return spawnSync('which', [program], { stdio: 'ignore' }).status === 0
}
