/** Finds everything that is wrong with the data of a config at once: the schema first, then the rules between settings. */
import { scalarFrom } from './environment.ts'
import { type Issue, overlap, type Path, pathKey, valueAt } from './faults.ts'
import { type Found, foundIssues } from './issues.ts'
import { findings } from './rules.ts'
import { cutOut } from './salvage.ts'
import { Config } from './schema.ts'

export interface Judged {
  issues: Issue[]
  /** Undefined when the data are too broken to make anything of. */
  config: Config | undefined
}

/** Each pass cuts out what it found; deeper faults come to light in the next. Far more than any nesting needs. */
const MAX_PASSES = 24

/**
 * @param data changed in place: texts of the environment become numbers and booleans where those are due
 * @param known paths already found to be at fault
 */
export function judge(
  data: unknown,
  substituted: ReadonlyMap<string, 'part' | 'whole'>,
  known: readonly Path[],
): Judged {
  const issues: Issue[] = []
  const cuts: Path[] = [...known]
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const rest = cutOut(data, cuts)
    const parsed = Config.safeParse(rest.data)
    if (parsed.success)
      return { issues: [...issues, ...ruleIssues(parsed.data, rest.original, cuts)], config: parsed.data }
    const raw = parsed.error.issues
    const found = foundIssues(raw, { data: rest.data, original: rest.original, hidden: substituted })
    if (converted(data, found, substituted)) continue
    issues.push(...found.filter(({ path }) => !cuts.some((cut) => overlap(cut, path))))
    const before = cuts.length
    cuts.push(...found.map(({ cut }) => cut).filter((cut) => cut.length > 0 && !cuts.some((known) => same(known, cut))))
    if (cuts.length === before) break
  }
  return { issues, config: undefined }
}

const same = (a: Path, b: Path) => pathKey(a) === pathKey(b)

/** A reference that fills its whole scalar may stand for a number or a boolean; that only shows where a text is wrong. */
function converted(
  data: unknown,
  found: readonly Found[],
  substituted: ReadonlyMap<string, 'part' | 'whole'>,
): boolean {
  let any = false
  for (const { path } of found) {
    const text = valueAt(data, path)
    if (typeof text !== 'string' || substituted.get(pathKey(path)) !== 'whole') continue
    const value = scalarFrom(text)
    if (value === undefined) continue
    const section = valueAt(data, path.slice(0, -1)) as Record<string | number, unknown>
    section[path.at(-1)!] = value
    any = true
  }
  return any
}

/** What the rules refuse, without the mere consequences of what is known to be at fault. */
function ruleIssues(config: Config, original: (path: Path) => Path, cuts: readonly Path[]): Issue[] {
  return findings(config)
    .filter(({ warning }) => !warning)
    .map((issue) => ({ ...issue, path: original(issue.path), judgedBy: (issue.judgedBy ?? []).map(original) }))
    .filter(({ path, judgedBy }) => ![path, ...judgedBy].some((by) => cuts.some((cut) => overlap(cut, by))))
}
