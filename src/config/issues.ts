/** What zod found, in the words of this config. */
import type { z } from 'zod'
import { type Issue, type Path, pathKey, valueAt } from './faults.ts'
import { nearest } from './nearest.ts'
import { keysOf, type Shape, shapeAt, shapeText, variants } from './shape.ts'
import { whyRefused } from './unobeyed.ts'

type Raw = z.core.$ZodIssue

export interface Found extends Issue {
  /** What must be cut out for the rest to be judged. */
  cut: Path
}

/** What the issues are about. */
export interface Judging {
  /** The data that were judged. */
  data: unknown
  /** From a path into them to the path in the file. */
  original: (path: Path) => Path
  /** Paths in the file whose text came from the environment and is never shown. */
  hidden: ReadonlyMap<string, unknown>
}

export function foundIssues(raw: readonly Raw[], judging: Judging): Found[] {
  const found = raw.flatMap(spread).map((issue) => {
    const { path, cut, ...words } = worded(issue, judging)
    return { ...words, path: judging.original(path), cut: judging.original(cut) }
  })
  return [...new Map(found.toReversed().map((issue) => [pathKey(issue.path), issue])).values()].toReversed()
}

/** One issue per unknown key, and for a union those of the alternative that was meant. */
function spread(issue: Raw): Raw[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ ...issue, keys: [key], path: [...issue.path, key] }))
  }
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [issue]
  const meant = issue.errors.filter((errors) =>
    errors.every(({ path, code }) => path.length > 0 || code !== 'invalid_type'),
  )
  const [best] = meant.filter(isNotConstant).toSorted((a, b) => a.length - b.length)
  if (!best) return [{ ...issue, errors: [] }]
  return best.flatMap((inner) => spread({ ...inner, path: [...issue.path, ...inner.path] }))
}

const isNotConstant = (errors: readonly Raw[]) =>
  errors.every(({ path, code }) => path.length > 0 || code !== 'invalid_value')

function worded(raw: Raw, { data, original, hidden }: Judging): Found {
  const path = raw.path.map((step) => (typeof step === 'number' ? step : String(step)))
  if (raw.code === 'unrecognized_keys') return unknownKey(path, data)
  if (raw.code === 'invalid_key') return impossibleName(path, data)
  const shape = shapeAt(path, data)
  const value = valueAt(data, path)
  const allowed = shape && shapeText(shape)
  if (value === undefined) return { path, message: 'is missing', allowed, cut: path.slice(0, -1) }
  const shown = typeof value === 'string' && !hidden.has(pathKey(original(path))) ? value : undefined
  return { path, message: wrong(raw, value, shown, shape), allowed, cut: path }
}

function unknownKey(path: Path, data: unknown): Found {
  const section = path.slice(0, -1)
  const key = String(path.at(-1))
  const refused = whyRefused(section, key)
  if (refused) return { path, message: refused, atKey: true, cut: path }
  const shape = shapeAt(section, data) ?? {}
  const present = valueAt(data, section)
  const keys = keysOf(shape, present)
  if (!keys.includes(key)) {
    return {
      path,
      message: `is not a setting${didYouMean(key, keys)}`,
      allowed: keys.join(', '),
      atKey: true,
      cut: path,
    }
  }
  const others = Object.keys(present as object).filter((other) => other !== key && keys.includes(other))
  return {
    path,
    message: `does not go together with ${others.join(', ')}`,
    allowed: shapeText(shape),
    atKey: true,
    cut: path,
  }
}

function impossibleName(path: Path, data: unknown): Found {
  const allowed = shapeText(shapeAt(path.slice(0, -1), data)?.propertyNames ?? {})
  return { path, message: 'is not a possible name', allowed, atKey: true, cut: path }
}

export function didYouMean(word: string, candidates: readonly string[]): string {
  const meant = nearest(word, candidates)
  return meant === undefined ? '' : `; did you mean "${meant}"?`
}

function wrong(raw: Raw, value: unknown, shown: string | undefined, shape: Shape | undefined): string {
  if (value === null) return 'is empty'
  if (typeof value === 'number' && takesUnit(shape)) return 'is a number without a unit'
  switch (raw.code) {
    case 'custom':
      return raw.message
    case 'too_small':
      return Array.isArray(value) || value === ''
        ? 'is empty'
        : typeof value === 'string'
          ? 'is too short'
          : 'is too small'
    case 'too_big':
      return Array.isArray(value) ? 'has too many entries' : typeof value === 'string' ? 'is too long' : 'is too large'
    case 'invalid_value':
    case 'invalid_union':
      return notOneOf(value, shown, shape)
    case 'invalid_type':
      return wrongType(value, shape)
    default:
      return 'does not have the right form'
  }
}

const takesUnit = (shape: Shape = {}): boolean => variants(shape, undefined).some((option) => option['x-unit'])

/** Longer texts are not slips of a word, and might be a secret in the wrong place: they are not repeated. */
const WORD = /^[\w.+-]{1,32}$/

function notOneOf(value: unknown, shown: string | undefined, shape: Shape | undefined): string {
  const words = [shape ?? {}, ...(shape?.anyOf ?? [])].flatMap((option) => option.enum ?? option.const ?? [])
  if (words.length === 0) return wrongType(value, shape)
  if (shown === undefined || !WORD.test(shown)) return 'is not one of the possible values'
  return `"${shown}" is not known${didYouMean(shown, words.map(String))}`
}

function wrongType(value: unknown, shape: Shape | undefined): string {
  if (typeof value === 'number') return shape?.type === 'integer' ? 'is not a whole number' : 'is a number'
  if (Array.isArray(value)) return 'is a list'
  return typeof value === 'object' ? 'is a section' : typeof value === 'string' ? 'is text' : `is ${value}`
}
