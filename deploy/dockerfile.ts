import { matchesGlob } from 'node:path'

export interface Instruction {
  name: string
  /** Everything behind the name, continuation lines joined. */
  rest: string
}

/** The instructions of a Dockerfile, in order. Heredocs are not understood; ours has none. */
export function parseDockerfile(text: string): Instruction[] {
  return text
    .split('\n')
    .filter((line) => !line.trimStart().startsWith('#'))
    .join('\n')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .map((line) => /^(\w+)\s+(.*)$/.exec(line.trim()))
    .filter((match) => match !== null)
    .map(([, name, rest]) => ({ name: name!.toUpperCase(), rest: rest! }))
}

/** `A=1 B="x y"` → the pairs. */
export function parsePairs(rest: string): Record<string, string> {
  return Object.fromEntries([...rest.matchAll(/([\w.]+)=(?:"([^"]*)"|(\S*))/g)].map((m) => [m[1]!, m[2] ?? m[3] ?? '']))
}

/** The exec form of CMD, ENTRYPOINT and HEALTHCHECK; the shell form is a fault, because a shell keeps signals to itself. */
export function parseExec(rest: string): string[] {
  const list = /\[.*\]$/.exec(rest)
  if (!list) throw new Error(`not in exec form: ${rest}`)
  return JSON.parse(list[0]) as string[]
}

/** Whether a path (relative, with slashes) enters the build context. The last rule that matches it or a parent wins. */
export function enters(path: string, dockerignore: string): boolean {
  const segments = path.split('/')
  const parents = segments.map((_, at) => segments.slice(0, at + 1).join('/'))
  let enters = true
  for (const line of dockerignore.split('\n').map((line) => line.trim())) {
    if (line === '' || line.startsWith('#')) continue
    const rule = line.replace(/^!/, '')
    if (parents.some((parent) => matchesGlob(parent, rule))) enters = line.startsWith('!')
  }
  return enters
}
