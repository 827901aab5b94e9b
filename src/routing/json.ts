import { Refusal } from '../kernel/errors.ts'
import { type Marks, NO_MARKS, type Outline, step } from './outline.ts'

/**
 * JSON in one canonical spelling, made token by token and never through JavaScript values: JSON.parse would make one
 * number of 9007199254740993 and 9007199254740992, and so one cache key of two questions.
 *
 * Merged (the same text): whitespace; the order of an object's members; spellings of one string ("\u0061" and "a");
 *   `E` and `e`, `e+5` and `e5`, `e05` and `e5`.
 * Kept apart: 1 and 1.0, 1e2 and 100, 0 and -0, Unicode normal forms, the order of arrays. Upstreams may tell them apart,
 *   and a wrong merge is a wrong answer where a missed one is only a miss.
 * Refused though JSON.parse takes it: the same key twice in one object (parsers differ in which one wins, so it could be
 *   keyed as one question and run as another), nesting and size past the bounds.
 */
export interface Bounds {
  /** Objects and arrays within each other; a scalar has depth 0. */
  readonly maxDepth: number
  /** Values in all, scalars too. */
  readonly maxNodes: number
}

export interface Canonical {
  readonly text: string
  /** Scalars found at the outline's wanted places, by slot: strings decoded, others as they are spelt; never null. */
  readonly values: readonly (readonly string[])[]
}

/** Throws BODY_INVALID, with the place. */
export function canonicalJson(text: string, outline: Outline, bounds: Bounds): Canonical {
  const reader = new Reader(text, outline.slots, bounds)
  return { text: reader.document(outline.marks), values: reader.values }
}

interface Member {
  /** The key as a canonical token: equal tokens are equal keys. */
  readonly key: string
  readonly at: number
  /** null = left out. */
  readonly value: string | null
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const EXPONENT = /[eE]\+?(-?)0*(?=[0-9])/

class Reader {
  readonly values: string[][]
  readonly #text: string
  readonly #bounds: Bounds
  #at = 0
  #nodes = 0

  constructor(text: string, slots: number, bounds: Bounds) {
    this.#text = text
    this.#bounds = bounds
    this.values = Array.from({ length: slots }, () => [])
  }

  document(marks: Marks): string {
    const value = this.#value(marks, 0)
    this.#skipSpace()
    if (this.#at < this.#text.length) this.#fail('something follows the value')
    return value
  }

  #value(marks: Marks, depth: number): string {
    this.#skipSpace()
    if (++this.#nodes > this.#bounds.maxNodes) this.#fail(`more than ${this.#bounds.maxNodes} values`)
    const first = this.#text[this.#at]
    if (first === '{') return this.#object(marks, this.#deeper(depth))
    if (first === '[') return this.#array(marks, this.#deeper(depth))
    const token = first === '"' ? this.#string() : this.#word()
    if (marks.length > 0) this.#report(marks, token)
    return token
  }

  #object(marks: Marks, depth: number): string {
    const members: Member[] = []
    if (!this.#opensEmpty('}')) {
      do members.push(this.#member(marks, depth))
      while (this.#continues('}'))
    }
    members.sort(byKey)
    this.#refuseTwins(members)
    return `{${members.filter(isKept).map(printMember).join(',')}}`
  }

  #member(marks: Marks, depth: number): Member {
    this.#skipSpace()
    const at = this.#at
    if (this.#text[at] !== '"') this.#fail('a key in double quotes is due')
    const key = this.#string()
    this.#skipSpace()
    if (this.#text[this.#at] !== ':') this.#fail("':' is due")
    this.#at++
    const here = step(marks, key)
    const value = this.#value(here, depth)
    return { key, at, value: isIgnored(here) ? null : value }
  }

  #array(marks: Marks, depth: number): string {
    const items: string[] = []
    if (this.#opensEmpty(']')) return '[]'
    let index = 0
    do {
      const here = marks.length === 0 ? NO_MARKS : step(marks, `"${index++}"`)
      const item = this.#value(here, depth)
      if (!isIgnored(here)) items.push(item)
    } while (this.#continues(']'))
    return `[${items.join(',')}]`
  }

  /** Steps over the opening bracket, and over the closing one if nothing stands between. */
  #opensEmpty(close: string): boolean {
    this.#at++
    this.#skipSpace()
    if (this.#text[this.#at] !== close) return false
    this.#at++
    return true
  }

  /** Steps over ',' (there is more) or the closing bracket (there is not). */
  #continues(close: string): boolean {
    this.#skipSpace()
    const found = this.#text[this.#at]
    if (found !== ',' && found !== close) this.#fail(`',' or '${close}' is due`)
    this.#at++
    return found === ','
  }

  /** A string by value. Without a backslash its own spelling is canonical: valid UTF-8 holds no lone surrogates. */
  #string(): string {
    const text = this.#text
    const start = this.#at
    let at = start + 1
    let escaped = false
    for (let code = text.charCodeAt(at); code !== QUOTE; code = text.charCodeAt(at)) {
      if (!(code >= 0x20))
        this.#fail(at < text.length ? 'a control character in a string' : 'a string does not end', at)
      escaped ||= code === BACKSLASH
      at += code === BACKSLASH ? 2 : 1
    }
    this.#at = at + 1
    const token = text.slice(start, this.#at)
    return escaped ? this.#respell(token, start) : token
  }

  /** Through a value and back is exact for a string alone; JSON.stringify writes lone surrogates as escapes. */
  #respell(token: string, at: number): string {
    try {
      return JSON.stringify(JSON.parse(token))
    } catch {
      return this.#fail('an escape that JSON does not have', at)
    }
  }

  #word(): string {
    for (const word of ['true', 'false', 'null']) {
      if (!this.#text.startsWith(word, this.#at)) continue
      this.#at += word.length
      return word
    }
    return this.#number()
  }

  #number(): string {
    NUMBER.lastIndex = this.#at
    const token = NUMBER.exec(this.#text)?.[0]
    if (token === undefined) return this.#fail(this.#at < this.#text.length ? 'a value is due' : 'it ends too early')
    this.#at += token.length
    return token.replace(EXPONENT, 'e$1')
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
      this.#at++
    }
  }

  #deeper(depth: number): number {
    if (depth >= this.#bounds.maxDepth) this.#fail(`nested deeper than ${this.#bounds.maxDepth}`)
    return depth + 1
  }

  #report(marks: Marks, token: string): void {
    if (token === 'null') return
    for (const mark of marks) {
      for (const slot of mark.slots) this.values[slot]!.push(token[0] === '"' ? JSON.parse(token) : token)
    }
  }

  #refuseTwins(sorted: readonly Member[]): void {
    for (let i = 1; i < sorted.length; i++) {
      if (sorted[i]!.key === sorted[i - 1]!.key) {
        this.#fail(`the key ${sorted[i]!.key.slice(0, 64)} stands twice in one object`, sorted[i]!.at)
      }
    }
  }

  #fail(what: string, at = this.#at): never {
    const before = this.#text.slice(0, at)
    const line = before.split('\n').length
    const column = at - before.lastIndexOf('\n')
    throw new Refusal('BODY_INVALID', {
      detail: `not usable as JSON: ${what} (line ${line}, column ${column}, offset ${at})`,
    })
  }
}

const byKey = (a: Member, b: Member): number => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
const isKept = (member: Member): boolean => member.value !== null
const printMember = (member: Member): string => `${member.key}:${member.value}`

function isIgnored(marks: Marks): boolean {
  for (const mark of marks) if (mark.ignored) return true
  return false
}
