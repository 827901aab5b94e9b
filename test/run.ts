/**
 * `npm test`: finds or installs redis-server, runs every test, and takes its children with it when it is interrupted.
 * Further arguments are test files or flags for node's runner: `npm test -- src/cache/near.test.ts`.
 */
import { spawn, spawnSync } from 'node:child_process'
import { userInfo } from 'node:os'

ensureRedis()

const given = process.argv.slice(2)
const files = given.some((arg) => arg.endsWith('.ts'))
  ? []
  : ['src/**/*.test.ts', 'sample/**/*.test.ts', 'test/**/*.test.ts']
const runner = spawn(process.execPath, ['--test', '--test-timeout=60000', '--test-concurrency=2', ...given, ...files], {
  stdio: 'inherit',
  detached: true,
  env: { ...process.env, NODE_ENV: 'test' },
})
const stopAll = (signal: NodeJS.Signals) => {
  try {
    process.kill(-runner.pid!, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopAll('SIGKILL'))
runner.on('exit', (code, signal) => {
  stopAll('SIGKILL') // what a crashed test file left behind in the group
  process.exitCode = signal ? 1 : (code ?? 1)
})

function ensureRedis(): void {
  if (has('redis-server')) return
  if (userInfo().uid !== 0 || !has('apt-get')) {
    console.error('The tests need a real redis-server. Install it first: apt-get install redis-server')
    process.exit(1)
  }
  console.error('redis-server is not installed; installing the Debian package ...')
  const env = { ...process.env, RUNLEVEL: '1', DEBIAN_FRONTEND: 'noninteractive' } // RUNLEVEL=1: Debian must not start it
  for (const args of [
    ['update', '-qq'],
    ['install', '-y', '-qq', '--no-install-recommends', 'redis-server'],
  ]) {
    const done = spawnSync('apt-get', args, { env, stdio: ['ignore', 'ignore', 'inherit'] })
    if (done.status !== 0) {
      console.error(`apt-get ${args.join(' ')} failed. Install redis-server by hand and try again.`)
      process.exit(1)
    }
  }
}

function has(program: string): boolean {
  return spawnSync('which', [program], { stdio: 'ignore' }).status === 0
}
