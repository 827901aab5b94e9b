/**
 * Proves the Dockerfile where there is no engine: carries out its steps in a temporary folder, starts its command as its
 * user on a tree that nobody may write to, runs its own health check, stops it with SIGTERM and expects exit code 0.
 * What this cannot show: the base image itself, and process 1's signal rules (the exec form is checked instead).
 *
 *   node deploy/check-image.ts [--keep]
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  globSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildImage, type Image } from './image.ts'

const START_MS = 20_000
const STOP_MS = 40_000

const context = join(import.meta.dirname, '..')
const dir = mkdtempSync(join(tmpdir(), 'sluice-image-'))
const isRoot = process.getuid?.() === 0

let container: ChildProcess | undefined
process.on('exit', () => {
  container?.kill('SIGKILL')
  if (process.argv.includes('--keep')) return console.error(`kept: ${dir}`)
  execFileSync('chmod', ['-R', 'u+w', dir])
  rmSync(dir, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))

await check()
console.error('check-image: the image builds, starts, is healthy and stops')

async function check(): Promise<void> {
  chmodSync(dir, 0o755) // the image's user must be able to enter
  const image = buildImage(context, dir, isRoot)
  expectSlim(image)
  const before = protect(image)
  const start = await prepare(image)
  const [program, ...args] = start.command
  container = spawn(program!, args, { ...start.options, stdio: ['ignore', 'pipe', 'pipe'] })
  const output: string[] = []
  container.stdout!.on('data', (text: Buffer) => output.push(text.toString()))
  container.stderr!.on('data', (text: Buffer) => output.push(text.toString()))
  try {
    await healthy(start, container)
    await stopped(container)
    const after = listing(image)
    if (after !== before) throw new Error('the tree was written to')
  } catch (error) {
    console.error(output.join(''))
    throw error
  }
}

function expectSlim({ root }: Image): void {
  const { devDependencies } = JSON.parse(readFileSync(join(context, 'package.json'), 'utf8')) as {
    devDependencies: Record<string, string>
  }
  const extra = Object.keys(devDependencies).filter((name) => existsSync(join(root, 'app/node_modules', name)))
  const tests = globSync('app/dist/**/*.{test,contract}.*', { cwd: root })
  if (extra.length + tests.length > 0) throw new Error(`not for the image: ${[...extra, ...tests].join(', ')}`)
}

/** Takes everybody's right to write away, and remembers what is there. */
function protect(image: Image): string {
  execFileSync('chmod', ['-R', 'a-w', join(image.root, 'app')])
  return listing(image)
}

function listing({ root }: Image): string {
  return execFileSync('ls', ['-lR', join(root, 'app/dist')]).toString()
}

interface Start {
  command: string[]
  healthcheck: string[]
  options: { cwd: string; env: Record<string, string>; uid?: number; gid?: number }
}

async function prepare(image: Image): Promise<Start> {
  const node = join(dir, 'bin', 'node') // a copy: the checkout may be in a folder that the image's user cannot enter
  execFileSync('mkdir', ['-p', dirname(node)])
  copyFileSync(process.execPath, node)
  chmodSync(node, 0o755)

  const port = await freePort()
  const config = join(dir, 'sluice.yaml')
  writeFileSync(config, configText(port, await freePort()))
  const env = {
    ...image.env,
    PATH: dirname(node),
    SLUICE_CONFIG: config,
    SLUICE_HEALTH_URL: image.env.SLUICE_HEALTH_URL!.replace(':8080', `:${port}`),
  }
  const inTree = (word: string) => (word.startsWith('/app/') ? join(image.root, word) : word)
  const toProgram = ([program, ...args]: string[]) => [program === 'node' ? node : program!, ...args.map(inTree)]
  return {
    command: toProgram(image.command),
    healthcheck: toProgram(image.healthcheck),
    options: { cwd: join(image.root, image.workdir), env, ...(isRoot ? image.user : {}) },
  }
}

function configText(port: number, adminPort: number): string {
  return `
server: { host: 127.0.0.1, port: ${port} }
admin: { host: 127.0.0.1, port: ${adminPort} }
store: { kind: embedded }
auth:
  issuers:
    - { name: main, algorithms: [HS256], secret: "only-for-checking-the-image-0123456789", tenant: { claim: tenant }, principal: { claim: sub } }
upstreams: { main: { urls: ["http://127.0.0.1:9"] } }
routes:
  - { name: rest, match: { path: "/*" }, mode: proxy, upstream: main }
tenants: { unknown: default }
`
}

async function healthy({ healthcheck, options }: Start, container: ChildProcess): Promise<void> {
  const [program, ...args] = healthcheck
  for (const until = Date.now() + START_MS; Date.now() < until; await sleep(200)) {
    if (container.exitCode !== null)
      throw new Error(`the gateway ended with ${container.exitCode} before it was healthy`)
    if (spawnSync(program!, args, { ...options, timeout: 3_000 }).status === 0) return
  }
  throw new Error(`not healthy within ${START_MS} ms`)
}

async function stopped(container: ChildProcess): Promise<void> {
  container.kill('SIGTERM')
  await once(container, 'exit', { signal: AbortSignal.timeout(STOP_MS) })
  if (container.exitCode !== 0) throw new Error(`SIGTERM: ended with ${container.exitCode ?? container.signalCode}`)
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
