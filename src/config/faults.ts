/** What is wrong with a config, and how it is said. */

export type Path = readonly (string | number)[]

/** Something wrong at a path, before it is known where in the file that is. */
export interface Issue {
  path: Path
  message: string
  allowed?: string | undefined
  /** Other paths this was judged by: when one of them is at fault itself, this issue may be a mere consequence. */
  judgedBy?: readonly Path[]
  /** It is the key that is wrong, not what stands behind it. */
  atKey?: boolean
}

export interface Fault {
  file: string
  /** From 1. */
  line: number
  /** From 1. */
  col: number
  /** `routes[0].cache.ttl`; '' for the file as a whole. */
  path: string
  message: string
  /** What may stand there instead; '' when that goes without saying. */
  allowed: string
}

/** `FILE:LINE:COL path: what is wrong (what is allowed)` */
export function formatFault({ file, line, col, path, message, allowed }: Fault): string {
  return `${file}:${line}:${col} ${path ? `${path}: ` : ''}${message}${allowed ? ` (${allowed})` : ''}`
}

/** The file is not a config. Carries every fault, in the order of the file. */
export class ConfigInvalid extends Error {
  override readonly name = 'ConfigInvalid'
  readonly faults: readonly Fault[]

  constructor(faults: Fault[]) {
    super(faults.map(formatFault).join('\n'))
    this.faults = faults
  }
}

/** ['routes', 0, 'cache'] → 'routes[0].cache' */
export const pathText = (path: Path): string =>
  path.map((step, at) => (typeof step === 'number' ? `[${step}]` : at === 0 ? step : `.${step}`)).join('')

/** A path as a key of maps: no two paths share one. */
export const pathKey = (path: Path): string => JSON.stringify(path)

/** Is one of them the other, or inside it? */
export const overlap = (a: Path, b: Path): boolean => a.slice(0, b.length).every((step, at) => step === b[at])

/** Follows a path through plain data. */
export function valueAt(data: unknown, path: Path): unknown {
  let value = data
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
    value = (value as Record<string | number, unknown>)[step]
  }
  return value
}
