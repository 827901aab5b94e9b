import type { Outline } from './outline.ts'
import type { Asking } from './tags.ts'

interface Rule {
  readonly source: 'body' | 'query' | 'header'
  readonly name: string
  readonly value: string
  /** Where the body reader reports the place; -1 for other sources. */
  readonly slot: number
  /** For Cache-Status, where it must be a token. */
  readonly detail: string
}

/**
 * Rules by which a caller may ask for a fresh answer: `body:force=true`, `query:force=true`,
 * `header:cache-control=no-cache`. Body and query values are compared as text (`true` and `"true"` are both `true`);
 * a header is a list of tokens split at commas, letter case aside.
 */
export class BypassRules {
  readonly #rules: readonly Rule[]

  /** Throws an Error for a rule that is malformed or can never match. */
  constructor(rules: readonly string[], body: 'json' | 'raw' | 'none', outline: Outline) {
    this.#rules = rules.map((rule) => parseRule(rule, body, outline))
  }

  /** The headers it looks at, in lower case. */
  get headers(): string[] {
    return this.#rules.filter(({ source }) => source === 'header').map(({ name }) => name)
  }

  /** Which rules the body fulfils, by their place in the list; remembered with the body. */
  bodyVerdict(values: readonly (readonly string[])[]): readonly boolean[] {
    return this.#rules.map((rule) => values[rule.slot]?.includes(rule.value) ?? false)
  }

  /** The first fulfilled rule's detail: the last segment of the name it looks at. */
  verdict(byBody: readonly boolean[], asking: Asking): string | null {
    for (let i = 0; i < this.#rules.length; i++) {
      const rule = this.#rules[i]!
      if (rule.source === 'body' ? byBody[i] : isFulfilled(rule, asking)) return rule.detail
    }
    return null
  }
}

function isFulfilled(rule: Rule, { query, headers }: Asking): boolean {
  if (rule.source === 'query') return query.values.get(rule.name)?.includes(rule.value) ?? false
  const header = headers[rule.name]
  if (header === undefined) return false
  const list = typeof header === 'string' ? header : header.join(',')
  return list.split(',').some((token) => token.trim().toLowerCase() === rule.value)
}

function parseRule(rule: string, body: 'json' | 'raw' | 'none', outline: Outline): Rule {
  const [, source, name, value] = /^(body|query|header):([^=]+)=(.*)$/s.exec(rule) ?? []
  if (name === undefined || value === undefined) {
    throw new Error(`bypass '${rule}': must be body:path=value, query:name=value or header:name=value`)
  }
  if (source === 'body' && body !== 'json') throw new Error(`bypass '${rule}': needs a route with body: json`)
  if (source === 'body') return { source, name, value, slot: outline.want(name), detail: detailOf(name) }
  if (source === 'query') return { source, name, value, slot: -1, detail: name.replace(/[^\w-]/g, '_') }
  const header = name.toLowerCase()
  return { source: 'header', name: header, value: value.trim().toLowerCase(), slot: -1, detail: detailOf(header) }
}

const detailOf = (name: string): string => name.slice(name.lastIndexOf('.') + 1).replace(/[^\w-]/g, '_')
