import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, cpSync, globSync, mkdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { enters, parseDockerfile, parseExec, parsePairs } from './dockerfile.ts'

/** What an engine would start a container from, as a folder. */
export interface Image {
  /** The folder that stands for `/`. */
  root: string
  workdir: string
  env: Record<string, string>
  user: { uid: number; gid: number }
  command: string[]
  healthcheck: string[]
}

/** Carries out the Dockerfile of `context` below `dir`. Only the few instructions that ours uses; another one is an error. */
export function buildImage(context: string, dir: string, isRoot: boolean): Image {
  const stages = new Map<string, Stage>()
  let stage: Stage | undefined
  for (const { name, rest } of parseDockerfile(readFileSync(join(context, 'Dockerfile'), 'utf8'))) {
    if (name === 'FROM') {
      const alias = / AS (\w+)$/.exec(rest)?.[1] ?? 'final'
      stage = newStage(join(dir, alias), isRoot)
      stages.set(alias, stage)
    } else if (!stage) throw new Error(`${name} before FROM`)
    else if (name === 'COPY') copy(context, stages, stage, rest)
    else if (name in STEPS) STEPS[name]!(stage, rest)
    else throw new Error(`check-image cannot carry out ${name}`)
  }
  if (!stage) throw new Error('the Dockerfile has no FROM')
  const { root, workdir, env, user, entrypoint, cmd, healthcheck } = stage
  return { root, workdir, env, user, command: [...entrypoint, ...cmd], healthcheck }
}

interface Stage extends Omit<Image, 'command'> {
  entrypoint: string[]
  cmd: string[]
  isRoot: boolean
}

function newStage(root: string, isRoot: boolean): Stage {
  mkdirSync(root)
  const user = { uid: 0, gid: 0 }
  return { root, workdir: '/', env: {}, user, entrypoint: [], cmd: [], healthcheck: [], isRoot }
}

const STEPS: Record<string, (stage: Stage, rest: string) => void> = {
  WORKDIR: (stage, rest) => {
    stage.workdir = rest
    mkdirSync(join(stage.root, rest), { recursive: true })
  },
  RUN: run,
  ENV: (stage, rest) => void Object.assign(stage.env, parsePairs(rest)),
  USER: (stage, rest) => {
    const [uid, gid] = rest.split(':').map(Number)
    if (!uid || !gid) throw new Error(`USER ${rest}: not a user and group by number, or root`)
    stage.user = { uid, gid }
  },
  ENTRYPOINT: (stage, rest) => {
    stage.entrypoint = parseExec(rest)
  },
  CMD: (stage, rest) => {
    stage.cmd = parseExec(rest)
  },
  HEALTHCHECK: (stage, rest) => {
    stage.healthcheck = parseExec(rest)
  },
  LABEL: () => {},
  EXPOSE: () => {},
  VOLUME: () => {},
  STOPSIGNAL: () => {},
}

function run(stage: Stage, command: string): void {
  if (command.startsWith('npm ')) {
    console.error(`  ${basename(stage.root)}: ${command}`)
    const cwd = join(stage.root, stage.workdir)
    execFileSync('sh', ['-c', `${command} --no-audit --no-fund`], { cwd, stdio: ['ignore', 'ignore', 'inherit'] })
    return
  }
  const made = /^install -d -o node -g node -m (\d+) (\S+)$/.exec(command)
  if (!made) throw new Error(`check-image cannot carry out RUN ${command}`)
  const path = join(stage.root, made[2]!)
  mkdirSync(path, { recursive: true })
  chmodSync(path, Number.parseInt(made[1]!, 8))
  if (stage.isRoot) chownSync(path, 1000, 1000)
}

function copy(context: string, stages: Map<string, Stage>, stage: Stage, rest: string): void {
  const [, from, paths] = /^(?:--from=(\w+) )?(.*)$/.exec(rest)!
  const sources = paths!.split(/\s+/)
  const target = sources.pop()!
  const into = target.startsWith('/') ? join(stage.root, target) : join(stage.root, stage.workdir, target)
  for (const source of sources) {
    const to = target.endsWith('/') ? join(into, basename(source)) : into
    if (from) cpSync(join(stages.get(from)!.root, source), to, { recursive: true, verbatimSymlinks: true })
    else copyContext(context, source, to)
  }
}

function copyContext(context: string, source: string, to: string): void {
  const ignore = readFileSync(join(context, '.dockerignore'), 'utf8')
  const within = globSync(`${source}/**/*`, { cwd: context, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(context.length + 1))
  const files = (within.length > 0 ? within : [source]).filter((path) => enters(path, ignore))
  if (files.length === 0) throw new Error(`COPY ${source}: nothing of it enters the context`)
  for (const file of files) {
    const path = join(to, file.slice(source.length))
    mkdirSync(dirname(path), { recursive: true })
    cpSync(join(context, file), path)
  }
}
