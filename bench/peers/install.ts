import { spawnSync } from 'node:child_process'
import { installed } from '../children.ts'

/** Program → Debian package. wrk and redis-server are needed; the others are compared with when they are there. */
const PACKAGES = { wrk: 'wrk', 'redis-server': 'redis-server', nginx: 'nginx', haproxy: 'haproxy', varnishd: 'varnish' }
const NEEDED = ['wrk', 'redis-server']

/** Fetches what is missing, as root on Debian; says what a run will have to do without. */
export function installPeers(allowed: boolean): void {
  const missing = () => Object.keys(PACKAGES).filter((program) => !installed(program)) as (keyof typeof PACKAGES)[]
  if (allowed && missing().length > 0 && process.getuid?.() === 0 && installed('apt-get')) {
    const packages = missing().map((program) => PACKAGES[program])
    console.error(`installing ${packages.join(' ')} ...`)
    const env = { ...process.env, RUNLEVEL: '1', DEBIAN_FRONTEND: 'noninteractive' } // RUNLEVEL=1: nothing is started
    const apt = (...args: string[]) => spawnSync('apt-get', args, { env, stdio: ['ignore', 'ignore', 'inherit'] })
    apt('update', '-qq')
    apt('install', '-y', '-qq', '--no-install-recommends', ...packages)
  }
  const left = missing()
  const needed = left.filter((program) => NEEDED.includes(program))
  if (needed.length > 0) throw new Error(`the bench needs ${needed.join(' and ')}: apt-get install ${needed.join(' ')}`)
  if (left.length > 0) console.error(`not installed, so not compared with: ${left.join(', ')}`)
}
