/**
 * `npm test`: finds or installs redis-server, runs every test but those of test/long, and takes its children with it
 * when it is interrupted. `npm run test:long`: runs test/long, then the Redis suites once more against Valkey.
 * Further arguments are test files or flags for node's runner: `npm test -- src/cache/near.test.ts`.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { canInstall, has, install } from './support/debian.ts'
import { valkeyServer } from './support/valkey.ts'

/** One run of node's test runner. */
interface Part {
  name: string
  flags: readonly string[]
  files: readonly string[]
  /** What its tests find in their environment besides ours. May throw when what it needs is not to be had. */
  env?: () => Record<string, string>
}

const DEFAULT_FLAGS = ['--test-timeout=60000', '--test-concurrency=2']

const DEFAULT: Part = {
  name: 'tests',
  flags: DEFAULT_FLAGS,
  files: ['src/**/*.test.ts', 'sample/**/*.test.ts', 'test/*.test.ts', 'test/!(long)/**/*.test.ts'],
}
const LONG: Part = {
  name: 'long tests',
  flags: ['--test-timeout=300000', '--test-concurrency=1'],
  files: ['test/long/**/*.test.ts'],
}
const ON_VALKEY: Part = {
  name: 'Redis suites on Valkey',
  flags: DEFAULT_FLAGS,
  files: ['src/**/*.redis.test.ts'],
  env: () => ({ SLUICE_TEST_REDIS_SERVER: valkeyServer() }),
}

const isLong = process.argv.includes('--long')
const given = process.argv.slice(2).filter((arg) => arg !== '--long')
const givesFiles = given.some((arg) => arg.endsWith('.ts'))

let runner: ChildProcess | undefined
let interrupted = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    interrupted = true
    killGroup()
  })
}

ensureRedis()
if (!isLong) process.exitCode = await run(DEFAULT)
else if (givesFiles) process.exitCode = await run(LONG)
else process.exitCode = await runAll([LONG, ON_VALKEY])

/** One after the other, whether or not one fails, until an interruption. */
async function runAll(parts: readonly Part[]): Promise<number> {
  let failed = 0
  for (const part of parts) if (!interrupted) failed = (await runNamed(part)) || failed
  return failed
}

async function runNamed(part: Part): Promise<number> {
  process.stdout.write(`\n== ${part.name}\n`)
  try {
    return await run(part)
  } catch (error) {
    console.error((error as Error).message)
    return 1
  }
}

/** Resolves with the runner's exit code, when it and all it started are gone. */
async function run({ flags, files, env }: Part): Promise<number> {
  runner = spawn(process.execPath, ['--test', ...flags, ...given, ...(givesFiles ? [] : files)], {
    stdio: 'inherit',
    detached: true,
    env: { ...process.env, NODE_ENV: 'test', ...env?.() },
  })
  const { promise, resolve } = Promise.withResolvers<number>()
  runner.on('exit', (code, signal) => resolve(signal ? 1 : (code ?? 1)))
  const code = await promise
  killGroup() // what a crashed test file left behind in the group
  return code
}

function killGroup(): void {
  if (!runner) return
  try {
    process.kill(-runner.pid!, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function ensureRedis(): void {
  if (has('redis-server')) return
  try {
    if (!canInstall()) throw new Error('The tests need a real redis-server. Install it: apt-get install redis-server')
    install('redis-server')
  } catch (error) {
    console.error((error as Error).message)
    process.exit(1)
  }
}
