import type { IncomingHttpHeaders } from 'node:http'
import type { Outline } from './outline.ts'
import type { QueryFacts } from './query.ts'

/** Tags of one entry; templates that would make more are cut off there. */
export const MAX_TAGS = 16
const MAX_VALUE_CHARS = 128

/** Out of the key means out of a tag: an entry's tags must be the same whoever fills it, or a purge misses it. */
export interface TagPolicy {
  readonly tags: readonly string[]
  readonly body: 'json' | 'raw' | 'none'
  readonly ignoreQuery: ReadonlySet<string>
  /** Lower case. */
  readonly keyedHeaders: readonly string[]
}

type Part =
  | { readonly from: 'text'; readonly text: string }
  | { readonly from: 'body'; readonly slot: number }
  | { readonly from: 'query' | 'header'; readonly name: string }

export interface Asking {
  readonly query: QueryFacts
  readonly headers: IncomingHttpHeaders
}

/**
 * Templates like `dataset:{body.datasource.id}` made into tags. A place that is missing, null, an object or empty leaves
 * its tag out; one with several values (`{body.queries.*.table}`, a repeated query name) makes a tag for each.
 */
export class Tagger {
  readonly #templates: readonly (readonly Part[])[]
  /** Whether the body alone decides, so that its memo can hold the finished tags. */
  readonly bodyDecides: boolean

  /** Throws an Error for a template that is malformed or uses what is not part of the key. */
  constructor(policy: TagPolicy, outline: Outline) {
    this.#templates = policy.tags.map((template) => parseTemplate(template, policy, outline))
    this.bodyDecides = this.#templates.every((parts) => parts.every(({ from }) => from === 'text' || from === 'body'))
  }

  tags(bodyValues: readonly (readonly string[])[], asking: Asking): readonly string[] {
    const found = new Set<string>()
    for (const parts of this.#templates) {
      for (const tag of expand(parts, bodyValues, asking)) if (found.size < MAX_TAGS) found.add(tag)
    }
    return [...found]
  }
}

/**
 * A value as it stands in a tag, at most 128 characters: white space, controls, braces, commas, quotes and backslashes
 * become '_', since tags are parts of store keys (braces choose a Redis Cluster slot) and of log lines. Two values that
 * become one are purged together, which is safe. Whoever purges by tag must bring its values into this form first.
 */
export function tagValue(value: string): string {
  const bounded = value.slice(0, MAX_VALUE_CHARS).toWellFormed()
  return bounded.replace(/[\s\p{C}{},"\\]/gu, '_')
}

/** Cleaned, distinct and bounded; and copied, because a slice of a body keeps the whole body in memory. */
export function keepable(values: readonly string[]): readonly string[] {
  const kept = new Set<string>()
  for (const value of values) {
    if (kept.size >= MAX_TAGS) break
    if (value !== '') kept.add(Buffer.from(tagValue(value), 'utf8').toString('utf8'))
  }
  return [...kept]
}

function expand(parts: readonly Part[], bodyValues: readonly (readonly string[])[], asking: Asking): string[] {
  let tags = ['']
  for (const part of parts) {
    const values = valuesOf(part, bodyValues, asking)
    tags = tags.flatMap((tag) => values.map((value) => tag + value)).slice(0, MAX_TAGS)
  }
  return tags
}

function valuesOf(part: Part, bodyValues: readonly (readonly string[])[], asking: Asking): readonly string[] {
  if (part.from === 'text') return [part.text]
  if (part.from === 'body') return bodyValues[part.slot] ?? []
  if (part.from === 'query') return keepable(asking.query.values.get(part.name) ?? [])
  const header = asking.headers[part.name]
  return keepable(typeof header === 'string' ? [header] : (header ?? []))
}

function parseTemplate(template: string, policy: TagPolicy, outline: Outline): Part[] {
  return template
    .split(/(\{[^{}]*\})/)
    .filter((piece) => piece !== '')
    .map((piece) => (piece[0] === '{' ? parsePlace(piece, template, policy, outline) : parseText(piece, template)))
}

function parseText(text: string, template: string): Part {
  if (!/[{}\s]/.test(text)) return { from: 'text', text }
  throw new Error(`tag '${template}': its fixed text may hold no blanks and no lone braces`)
}

function parsePlace(piece: string, template: string, policy: TagPolicy, outline: Outline): Part {
  const [, from, name] = /^\{(body|query|header)\.(.+)\}$/.exec(piece) ?? []
  if (name === undefined) {
    throw new Error(`tag '${template}': ${piece} must be {body.path}, {query.name} or {header.name}`)
  }
  if (from === 'body') return bodyPlace(name, template, policy, outline)
  const isQuery = from === 'query'
  const keyed = isQuery ? !policy.ignoreQuery.has(name) : policy.keyedHeaders.includes(name.toLowerCase())
  if (!keyed) throw new Error(`tag '${template}': ${piece} is not part of the key, so a purge by it would miss entries`)
  return isQuery ? { from: 'query', name } : { from: 'header', name: name.toLowerCase() }
}

function bodyPlace(path: string, template: string, policy: TagPolicy, outline: Outline): Part {
  if (policy.body !== 'json') throw new Error(`tag '${template}': {body.${path}} needs a route with body: json`)
  if (outline.isIgnored(path)) {
    throw new Error(`tag '${template}': body.${path} is in ignoreBody, so a purge by it would miss entries`)
  }
  return { from: 'body', slot: outline.want(path) }
}
