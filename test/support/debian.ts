import { spawnSync } from 'node:child_process'
import { userInfo } from 'node:os'

/** Whether a program is on the PATH. */
export const has = (program: string): boolean => spawnSync('which', [program], { stdio: 'ignore' }).status === 0

/** Whether we may install Debian packages here. */
export const canInstall = (): boolean => userInfo().uid === 0 && has('apt-get')

/** Installs a Debian package, and throws an Error that says what to do when that fails. Its daemons are not started. */
export function install(name: string): void {
  console.error(`installing the Debian package ${name} ...`)
  const env = { ...process.env, RUNLEVEL: '1', DEBIAN_FRONTEND: 'noninteractive' } // RUNLEVEL=1: Debian must not start it
  for (const args of [
    ['update', '-qq'],
    ['install', '-y', '-qq', '--no-install-recommends', name],
  ]) {
    const done = spawnSync('apt-get', args, { env, stdio: ['ignore', 'ignore', 'inherit'] })
    if (done.status !== 0) throw new Error(`apt-get ${args.join(' ')} failed. Install ${name} by hand and try again.`)
  }
}
