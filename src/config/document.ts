/** From YAML text to plain data, with the place of every key and value, and the environment put in. */
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from 'yaml'
import { type Environment, substitute } from './environment.ts'
import { type Issue, type Path, pathKey } from './faults.ts'

export interface Place {
  line: number
  col: number
}

export interface ConfigDocument {
  /** Plain data without prototypes. */
  data: unknown
  /** Faults of the text itself, placed. */
  faults: (Issue & { place: Place })[]
  /** False when the text is not YAML, so that there is no data to judge. */
  readable: boolean
  /** Paths whose text came, wholly or in part, from the environment. */
  substituted: ReadonlyMap<string, 'part' | 'whole'>
  /** Where the value at a path stands; `key`: where its key does. The nearest thing around it when there is none. */
  placeOf(path: Path, which: 'key' | 'value'): Place
}

/** Aliases make small files huge; this many values is far beyond any config. */
const MAX_VALUES = 200_000
const MAX_DEPTH = 32

const REFERENCES = `\${NAME} or \${NAME:-default}; $\${ writes a plain \${`

/** Better words than the parser's, which speak to programmers. */
const SYNTAX: Partial<Record<string, string>> = {
  DUPLICATE_KEY: 'this key stands twice in its section',
  MULTIPLE_DOCS: 'a second document begins here; a config is one',
}

export function readDocument(text: string, env: Environment): ConfigDocument {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(Math.min(offset, text.length))
    return { line: Math.max(1, line), col: Math.max(1, col) }
  }
  const broken = [...document.errors, ...document.warnings]
  const faults = broken.map(({ code, message, pos }) => ({
    path: [],
    message: SYNTAX[code] ?? `not YAML: ${message}`,
    place: placeAt(pos[0]),
  }))
  const reader = new Reader(document, env)
  const readable = broken.every(({ code }) => code === 'DUPLICATE_KEY')
  const data = readable ? reader.read(document.contents, []) : undefined
  const placed = reader.issues.map((issue) => ({ ...issue, place: placeAt(reader.offset(issue.path, 'value')) }))
  return {
    data: data ?? Object.create(null),
    faults: [...faults, ...placed],
    readable: readable && !reader.overflown,
    substituted: reader.substituted,
    placeOf: (path, which) => placeAt(reader.offset(path, which)),
  }
}

class Reader {
  readonly issues: Issue[] = []
  readonly substituted = new Map<string, 'part' | 'whole'>()
  overflown = false
  readonly #document: Document
  readonly #env: Environment
  readonly #offsets = new Map<string, { key: number; value: number; scalar: boolean }>()
  #values = 0

  constructor(document: Document, env: Environment) {
    this.#document = document
    this.#env = env
  }

  read(node: unknown, path: Path, keyOffset?: number): unknown {
    if (this.#overflows(path)) return undefined
    const target = isAlias(node) ? node.resolve(this.#document) : node
    if (target === undefined && isAlias(node)) {
      this.issues.push({ path, message: 'refers to something that no &anchor above it names' })
    }
    const value = start(node) ?? keyOffset ?? 0
    this.#offsets.set(pathKey(path), { key: keyOffset ?? value, value, scalar: !isMap(target) && !isSeq(target) })
    if (isMap(target)) return this.#section(target.items, path)
    if (isSeq(target)) return target.items.map((item, at) => this.read(item, [...path, at]))
    return isScalar(target) ? this.#scalar(target.value, path) : null
  }

  /** The offset of a path, or of the nearest thing around it. */
  offset(path: Path, which: 'key' | 'value'): number {
    for (let length = path.length; length >= 0; length--) {
      const found = this.#offsets.get(pathKey(path.slice(0, length)))
      if (found) return which === 'key' || !found.scalar || length < path.length ? found.key : found.value
    }
    return 0
  }

  #section(pairs: Pair[], path: Path): Record<string, unknown> {
    const section: Record<string, unknown> = Object.create(null)
    for (const { key, value } of pairs) {
      const text = keyText(key)
      const keyOffset = start(key) ?? start(value) ?? 0
      if (text === undefined) {
        this.#offsets.set(pathKey([...path, '?']), { key: keyOffset, value: keyOffset, scalar: true })
        this.issues.push({ path: [...path, '?'], message: 'is not a possible key', allowed: 'plain text' })
      } else if (!Object.hasOwn(section, text)) {
        section[text] = this.read(value, [...path, text], keyOffset)
      }
    }
    return section
  }

  #scalar(value: unknown, path: Path): unknown {
    if (typeof value === 'bigint') return Number(value)
    if (typeof value !== 'string') return value
    const { text, changed, whole, faults } = substitute(value, this.#env)
    if (changed) this.substituted.set(pathKey(path), whole ? 'whole' : 'part')
    const allowed = faults.length > 0 ? REFERENCES : undefined
    for (const message of faults) this.issues.push({ path, message, allowed })
    return text
  }

  #overflows(path: Path): boolean {
    if (this.overflown) return true
    this.overflown = ++this.#values > MAX_VALUES || path.length > MAX_DEPTH
    if (this.overflown)
      this.issues.push({ path: [], message: 'is too large or nested too deeply; aliases count in full' })
    return this.overflown
  }
}

/** Numbers are keys too (`map: { 7: acme }`); `__proto__` never is. */
function keyText(key: unknown): string | undefined {
  const value = isScalar(key) ? key.value : undefined
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') return undefined
  const text = isScalar(key) && typeof key.source === 'string' ? key.source : String(value)
  return text === '__proto__' ? undefined : text
}

const start = (node: unknown): number | undefined => (node as Node | null | undefined)?.range?.[0]
