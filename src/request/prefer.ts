/** What a client prefers (RFC 7240), of what is known here. */
export interface Preferences {
  readonly respondAsync: boolean
  /** How long the answer may be held; null: nothing was said. */
  readonly waitMs: number | null
}

/** Longer wishes are cut to this: balancers and proxies on the way give up not much later. */
export const MAX_WAIT_MS = 300_000

/** A longer field is nothing that a client means, and nothing to be taken apart. */
const MAX_LENGTH = 1_024

const NONE: Preferences = Object.freeze({ respondAsync: false, waitMs: null })

/** Between commas that stand in no quotes. */
const ITEMS = /(?:"(?:[^"\\]|\\.)*"|[^",])+/g

/** A name, its value if it has one, and nothing else before the parameters. */
const ITEM =
  /^[ \t]*(?<name>[\w!#$%&'*+.^`|~-]+)[ \t]*(?:=[ \t]*(?:"(?<quoted>(?:[^"\\]|\\.)*)"|(?<word>[\w!#$%&'*+.^`|~-]*)))?[ \t]*(?:;|$)/

/** Reads the Prefer field, its lines joined or not. What is unknown or cannot be read is as if it were not there. */
export function preferences(field: string | readonly string[] | undefined): Preferences {
  if (field === undefined) return NONE
  const text = typeof field === 'string' ? field : field.join(', ')
  if (text.length > MAX_LENGTH) return NONE
  const said = new Map<string, string>()
  for (const [item] of text.matchAll(ITEMS)) {
    const { name, quoted, word = '' } = ITEM.exec(item)?.groups ?? {}
    if (name === undefined || said.has(name.toLowerCase())) continue // the first of a name counts
    said.set(name.toLowerCase(), quoted === undefined ? word : quoted.replace(/\\(.)/g, '$1'))
  }
  return { respondAsync: said.get('respond-async') === '', waitMs: waitOf(said.get('wait')) }
}

function waitOf(seconds: string | undefined): number | null {
  return seconds !== undefined && /^\d+$/.test(seconds) ? Math.min(Number(seconds) * 1_000, MAX_WAIT_MS) : null
}

/** For Preference-Applied: what of it was heeded, '' when nothing was. A wait that was cut is said as long as it was. */
export function preferenceApplied({ respondAsync = false, waitMs = null }: Partial<Preferences>): string {
  const applied = respondAsync ? ['respond-async'] : []
  if (waitMs !== null) applied.push(`wait=${waitMs / 1_000}`)
  return applied.join(', ')
}
