import { normalPercent } from './percent.ts'

/** A query string, read once. */
export interface QueryFacts {
  /** What is keyed: pairs in order of their names, a name's own pairs in the order they came. */
  readonly canonical: string
  /** Form-decoded names and values, for tags and bypass rules; also the ignored ones. */
  readonly values: ReadonlyMap<string, readonly string[]>
}

interface Pair {
  readonly name: string
  /** As it is keyed. */
  readonly text: string
}

const NOTHING: QueryFacts = { canonical: '', values: new Map() }

/**
 * Merged: the order of different names, needless or lower-case percent-encodings, empty pairs (`a&&b`).
 * Kept apart, since upstreams may: `a` and `a=`, `+` and `%20`, the order of one name's values, and pairs with a broken
 * '%', which stay byte for byte (decoding around a break could form an escape that was not there).
 */
export function readQuery(query: string, ignored: ReadonlySet<string>): QueryFacts {
  if (query === '') return NOTHING
  const values = new Map<string, string[]>()
  const kept: Pair[] = []
  for (const raw of query.split('&')) {
    if (raw === '') continue
    const text = normalPercent(raw) ?? raw
    const cut = text.indexOf('=')
    const name = cut < 0 ? text : text.slice(0, cut)
    const decodedName = formDecode(name)
    remember(values, decodedName, cut < 0 ? '' : formDecode(text.slice(cut + 1)))
    if (!ignored.has(decodedName)) kept.push({ name, text })
  }
  if (kept.length > 1) kept.sort(byName) // stable, so duplicates keep their order
  return { canonical: kept.map((pair) => pair.text).join('&'), values }
}

function remember(values: Map<string, string[]>, name: string, value: string): void {
  const known = values.get(name)
  if (known) known.push(value)
  else values.set(name, [value])
}

function formDecode(text: string): string {
  const spaced = text.replaceAll('+', ' ')
  if (!spaced.includes('%')) return spaced
  try {
    return decodeURIComponent(spaced)
  } catch {
    return text
  }
}

const byName = (a: Pair, b: Pair): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
