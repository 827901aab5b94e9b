import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const MAIN = new URL('../../src/main.ts', import.meta.url).pathname

/** A real gateway process with a config of the test's own. */
export interface TestGateway extends AsyncDisposable {
  readonly url: string
  readonly adminUrl: string
  readonly pid: number
  /** Every line it logged, parsed. */
  readonly lines: Record<string, unknown>[]
  readonly configFile: string
  /** Resolves with the first logged line that satisfies `wanted`, past or future. */
  logged(wanted: (line: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>
  signal(signal: NodeJS.Signals): void
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>
  /** The value of one metric, summed over the label sets that match. */
  metric(name: string, labels?: Record<string, string>): Promise<number>
}

/** @param args further ones of `sluice serve` */
export async function startGateway(
  config: string,
  env: Record<string, string> = {},
  args: readonly string[] = [],
): Promise<TestGateway> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-gateway-'))
  const configFile = join(dir, 'sluice.yaml')
  writeFileSync(configFile, config)
  const child = spawn(
    'setpriv', // ties the child's life to ours
    ['--pdeathsig', 'KILL', process.execPath, MAIN, 'serve', '--config', configFile, ...args],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } },
  )
  const lines: Record<string, unknown>[] = []
  const waiters = new Set<() => void>()
  child.setMaxListeners(0)
  let stderr = ''
  child.stderr!.on('data', (data) => {
    stderr += data
  })
  createInterface({ input: child.stdout! }).on('line', (line) => {
    lines.push(line.startsWith('{') ? JSON.parse(line) : { text: line })
    for (const waiter of waiters) waiter()
  })
  const logged: TestGateway['logged'] = (wanted) =>
    new Promise((resolve, reject) => {
      const look = () => {
        const line = lines.find(wanted)
        if (!line) return
        waiters.delete(look)
        resolve(line)
      }
      waiters.add(look)
      child.once('exit', (code) =>
        reject(new Error(`the gateway ended with ${code}\n${stderr}\n${JSON.stringify(lines.at(-1))}`)),
      )
      look()
    })
  const listening = await logged((line) => line.msg === 'listening')
  const adminUrl = String(listening.adminUrl)
  return {
    url: String(listening.url),
    adminUrl,
    pid: child.pid!,
    lines,
    configFile,
    logged,
    signal: (signal) => void child.kill(signal),
    stop: () => end(child, 'SIGTERM'),
    metric: (name, labels = {}) => readMetric(adminUrl, name, labels),
    [Symbol.asyncDispose]: async () => {
      await end(child, 'SIGKILL')
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGCONT')
    child.kill(signal)
    await once(child, 'exit')
  }
  return child.exitCode
}

async function readMetric(adminUrl: string, name: string, labels: Record<string, string>): Promise<number> {
  const page = await (await fetch(`${adminUrl}/metrics`)).text()
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
  return page
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter((line) => wanted.every((pair) => line.includes(pair)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
}
