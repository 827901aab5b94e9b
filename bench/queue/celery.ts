import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

const VERSION = '5.6.3'
const VENV = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), `sluice-bench/celery-${VERSION}`)

export interface CeleryFigures {
  publish: number
  process: number
  p50: number
  p99: number
}

/** Null where it is not installed and may not be. */
export async function measureCelery(
  redisUrl: string,
  { tasks, perSecond, seconds, install }: { tasks: number; perSecond: number; seconds: number; install: boolean },
): Promise<CeleryFigures | null> {
  const python = join(VENV, 'bin/python')
  if (!existsSync(python) && !(install && installed())) return null
  const script = join(import.meta.dirname, 'pipeline.py')
  const child = spawn(python, [script, `${tasks}`, `${perSecond}`, `${seconds}`], {
    env: { ...process.env, PIPELINE_URL: redisUrl },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.on('data', (data) => {
    text += data
  })
  await once(child, 'exit')
  return text.trim() ? (JSON.parse(text) as CeleryFigures) : null
}

/** In a virtual environment of its own, outside the tree. */
function installed(): boolean {
  mkdirSync(VENV, { recursive: true })
  const made = spawnSync('python3', ['-m', 'venv', VENV]).status === 0
  const pip = join(VENV, 'bin/pip')
  if (made && spawnSync(pip, ['install', '-q', `celery[redis]==${VERSION}`], { stdio: 'inherit' }).status === 0)
    return true
  rmSync(VENV, { recursive: true, force: true })
  return false
}
