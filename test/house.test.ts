import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { basename, dirname, join, posix } from 'node:path'
import { describe, test } from 'node:test'

/**
 * The plan of the house (DESIGN section 1) as a check over source text. Each file of `src/` belongs to the part its path
 * starts with; a file imports from its own part or from a lower floor. `import type` counts like any other import: a
 * type that points upwards is a design that points upwards.
 *
 * Source is read by pattern, not parsed: TypeScript 7 has no API for it, and Biome fixes the shape of import lines.
 */
const FLOORS: readonly (readonly string[])[] = [
  ['kernel'],
  ['config', 'tenancy', 'routing', 'cache', 'flight', 'limits', 'queue', 'results', 'upstream', 'telemetry'],
  ['request', 'workers', 'presets'],
  ['entry', 'admin', 'cli'],
  ['cellar.ts'],
  ['gateway.ts'],
  ['main.ts'],
]

/** `sluice serve` is a verb like the others and lives in cli/, but what it does is open the whole gateway. */
const UPWARDS_ALLOWED = [{ from: 'cli', to: 'gateway.ts' }]
/** The other half of that exception: the gateway must not know that a command line exists. */
const DOWNWARDS_REFUSED = [{ from: 'gateway.ts', to: 'cli' }]

const BANNED_NAMES = /^(utils?|helpers?|commons?|types?|interfaces?)(\.|$)/

type Files = ReadonlyMap<string, string>

/** Every breach of the plan among these files, a sentence each. Paths are relative to the repository, with slashes. */
function breaches(files: Files): string[] {
  const found: string[] = []
  for (const [path, text] of files) {
    found.push(...nameBreaches(path), ...syntaxBreaches(path, text))
    if (path.startsWith('src/')) found.push(...importBreaches(path, text, files))
  }
  return [...found, ...circles(files).map((circle) => `circle: ${circle.join(' -> ')}`)]
}

function importBreaches(path: string, text: string, files: Files): string[] {
  const from = partOf(path)
  if (floorOf(from) < 0) return [`${path}: '${from}' is no part of the house`]
  return importsOf(path, text).flatMap((to) => {
    if (to === undefined) return [`${path}: imports a computed path, which nothing can check`]
    if (!files.has(to)) return [`${path}: imports ${to}, which is not there`]
    if (!isTest(path) && isTest(to)) return [`${path}: imports ${to}, a test`]
    if (!to.startsWith('src/')) return isTest(path) ? [] : [`${path}: imports ${to}, outside the house`]
    return mayImport(from, partOf(to)) ? [] : [`${path}: imports ${to}, which is not on a lower floor`]
  })
}

function mayImport(from: string, to: string): boolean {
  const listed = (pairs: typeof UPWARDS_ALLOWED) => pairs.some((pair) => pair.from === from && pair.to === to)
  if (listed(UPWARDS_ALLOWED)) return true
  if (listed(DOWNWARDS_REFUSED)) return false
  return from === to || floorOf(to) < floorOf(from)
}

const partOf = (path: string) => path.split('/')[1]!
const floorOf = (part: string) => FLOORS.findIndex((floor) => floor.includes(part))
const isTest = (path: string) => /\.(test|contract)\.ts$/.test(path)

const FROM = /^\s*(?:import|export)\s[\w\s{},*$]*?from\s*['"]([^'"]+)['"]/gm
const BARE = /^\s*import\s*['"]([^'"]+)['"]/gm
const DYNAMIC = /(?<![\w.*])import\(\s*(?:['"]([^'"]+)['"]\s*[,)])?/g

/** The files that `text` imports; undefined stands for an import whose path is not written out. */
function importsOf(path: string, text: string): (string | undefined)[] {
  const code = text.replace(/^\s*(\/\/|\/?\*).*$/gm, '') // comment lines may speak of imports
  const specifiers = [FROM, BARE, DYNAMIC].flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[1]))
  return specifiers
    .filter((specifier) => specifier === undefined || (specifier.startsWith('.') && !specifier.endsWith('.json')))
    .map((specifier) => specifier && posix.join(dirname(path), specifier))
}

function nameBreaches(path: string): string[] {
  const banned = path.split('/').find((segment) => BANNED_NAMES.test(segment))
  return banned ? [`${path}: '${banned}' says what it is made of, not what it is`] : []
}

const PARAMETER_PROPERTY = /(?:^|,)\s*(?:private|public|protected|readonly|override)\s+\w/

/** The compiler refuses these too (`erasableSyntaxOnly`); here they are refused where `npm test` is all that is run. */
function syntaxBreaches(path: string, text: string): string[] {
  if (path.endsWith('.d.ts')) return []
  const found: string[] = []
  if (/^\s*(export\s+)?(declare\s+)?(const\s+)?enum\s+\w/m.test(text)) found.push(`${path}: an enum`)
  if (/^\s*(export\s+)?(declare\s+)?namespace\s+\w/m.test(text)) found.push(`${path}: a namespace`)
  const constructors = [...text.matchAll(/^\s*(?:\w+\s+)?constructor\s*\(([^)]*)\)/gm)]
  if (constructors.some(([, parameters]) => PARAMETER_PROPERTY.test(parameters!)))
    found.push(`${path}: a parameter property`)
  if (path.startsWith('src/') && /new URL\(\s*['"][^'"]+\.ts['"]/.test(text))
    found.push(`${path}: a URL of a .ts file, which is not there once it is built`)
  return found
}

/** Circles among the files of the house, each reported once, from the file where the walk met it. */
function circles(files: Files): string[][] {
  const found: string[][] = []
  const done = new Set<string>()
  const walk = (path: string, trail: string[]): void => {
    if (trail.includes(path)) return void found.push([...trail.slice(trail.indexOf(path)), path])
    if (done.has(path)) return
    for (const to of importsOf(path, files.get(path)!))
      if (to?.startsWith('src/') && files.has(to)) walk(to, [...trail, path])
    done.add(path)
  }
  for (const path of files.keys()) if (path.startsWith('src/')) walk(path, [])
  return found
}

describe('the house', () => {
  const root = join(import.meta.dirname, '..')
  const paths = globSync('{src,sample,test,bench,deploy,docs}/**/*.ts', { cwd: root })
  const files = new Map(paths.map((path) => [path, readFileSync(join(root, path), 'utf8')]))
  // This file holds the shapes it looks for, as planted examples.
  files.set(`test/${basename(import.meta.filename)}`, '')

  test('keeps to its plan', () => {
    assert.ok(paths.length > 20, 'the source was not found')
    assert.deepEqual(breaches(files), [])
  })
})

describe('the check of the house', () => {
  const house = (extra: Record<string, string>): Files =>
    new Map(
      Object.entries({
        'src/kernel/clock.ts': 'export const now = 1\n',
        'src/cache/near.ts': "import { now } from '../kernel/clock.ts'\n",
        'src/flight/lease.ts': "import type { Redis } from 'ioredis'\n",
        'src/request/handle.ts': "import {\n  a,\n  type B,\n} from '../cache/near.ts'\n",
        'src/cli/token.ts': '',
        'src/gateway.ts': "export * from './request/handle.ts'\n",
        'src/main.ts': "import './gateway.ts'\n",
        'test/support/origin.ts': '',
        ...extra,
      }),
    )

  test('accepts a house that keeps to the plan', () => assert.deepEqual(breaches(house({})), []))

  for (const [what, path, text] of [
    ['a room that imports a room', 'src/cache/far.ts', "import { a } from '../flight/lease.ts'"],
    ['a type from a room beside', 'src/cache/far.ts', "import type { A } from '../flight/lease.ts'"],
    ['an inline type from a room beside', 'src/cache/far.ts', "type A = import('../flight/lease.ts').A"],
    ['a dynamic import upwards', 'src/cache/far.ts', "const { a } = await import('../request/handle.ts')"],
    ['a re-export upwards', 'src/kernel/ids.ts', "export { a } from '../cache/near.ts'"],
    ['a side-effect import upwards', 'src/kernel/ids.ts', "import '../cache/near.ts'"],
    ['an import over several lines', 'src/kernel/ids.ts', "import {\n  a,\n  b,\n} from '../cache/near.ts'"],
    ['a door that imports a door', 'src/entry/server.ts', "import { a } from '../cli/token.ts'"],
    ['a door other than cli that opens the gateway', 'src/admin/server.ts', "import '../gateway.ts'"],
    ['a computed import', 'src/cache/far.ts', 'await import(path)'],
    ['a folder that is not on the plan', 'src/misc/a.ts', ''],
    ['an import of a file that is not there', 'src/cache/far.ts', "import { a } from './gone.ts'"],
    ['source that imports what is outside', 'src/cache/far.ts', "import { a } from '../../test/support/origin.ts'"],
    ['a name that says nothing', 'src/cache/utils.ts', ''],
    ['a folder whose name says nothing', 'bench/helpers/rate.ts', ''],
    ['an enum', 'sample/rows.ts', 'export const enum Kind { A }'],
    ['a namespace', 'sample/rows.ts', 'namespace Kind {}'],
    [
      'a parameter property',
      'src/cache/far.ts',
      'class A {\n  constructor(\n    private readonly a: string,\n  ) {}\n}',
    ],
    ['a URL of a source file', 'src/cache/far.ts', "new URL('./worker.ts', import.meta.url)"],
  ] as const) {
    test(`catches ${what}`, () => assert.equal(breaches(house({ [path]: text })).length, 1))
  }

  test('catches a gateway that imports the command line', () => {
    const files = house({ 'src/gateway.ts': "import { a } from './cli/token.ts'" })
    assert.match(breaches(files).join(), /gateway\.ts: imports src\/cli\/token\.ts/)
  })

  test('lets `serve` open the gateway', () => {
    assert.deepEqual(breaches(house({ 'src/cli/serve.ts': "import { openGateway } from '../gateway.ts'" })), [])
  })

  test('names a circle inside one folder', () => {
    const files = house({
      'src/cache/a.ts': "import { b } from './b.ts'",
      'src/cache/b.ts': "import type { A } from './a.ts'",
    })
    assert.deepEqual(breaches(files), ['circle: src/cache/a.ts -> src/cache/b.ts -> src/cache/a.ts'])
  })

  test('lets a test of a room use the test support, and no room use a test', () => {
    const files = house({
      'src/cache/far.contract.ts': "import { startOrigin } from '../../test/support/origin.ts'",
      'src/cache/far.ts': "import './far.contract.ts'",
    })
    assert.deepEqual(breaches(files), ['src/cache/far.ts: imports src/cache/far.contract.ts, a test'])
  })

  test('tells a read-only type from a parameter property', () => {
    const text = 'class A {\n  constructor(rules: readonly string[], b: { c: readonly number[] }) {}\n}'
    assert.deepEqual(breaches(house({ 'src/cache/far.ts': text })), [])
  })

  test('is not misled by comments', () => {
    const text = "// import { a } from '../flight/lease.ts'\n/**\n * import(x)\n */\nexport const a = 1\n"
    assert.deepEqual(breaches(house({ 'src/cache/far.ts': text })), [])
  })
})
