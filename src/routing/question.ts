import type { IncomingHttpHeaders } from 'node:http'
import { LRUCache } from 'lru-cache'
import { type BodyMode, BodyReader } from './body.ts'
import { BypassRules } from './bypass.ts'
import { frame, keyOf } from './frame.ts'
import { Outline } from './outline.ts'
import { type QueryFacts, readQuery } from './query.ts'
import { type Asking, keepable, Tagger } from './tags.ts'

/** What of a request is its key. */
export interface KeyPolicy {
  readonly route: string
  readonly upstream: string
  readonly body: BodyMode
  readonly ignoreBody: readonly string[]
  readonly ignoreQuery: readonly string[]
  readonly varyHeaders: readonly string[]
  readonly tags: readonly string[]
  readonly bypass: readonly string[]
}

export interface Asked {
  readonly method: string
  /** In normal form, as it is forwarded. */
  readonly path: string
  /** As received, without its '?'. */
  readonly query: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly identity: string
}

export interface Question {
  /** 43 characters of base64url. */
  readonly key: string
  readonly tags: readonly string[]
  /** Why the caller gets no stored answer, e.g. 'force'; null = may have one. */
  readonly bypass: string | null
  /** SHA-256 of the canonical body; '' without one. */
  readonly bodyDigest: string
}

export interface Explanation {
  /** All that is hashed into the key, in order. */
  readonly parts: { name: string; value: string }[]
  readonly canonicalBody: string | null
  readonly canonicalQuery: string
  readonly key: string
  readonly tags: readonly string[]
  readonly bypass: string | null
}

export interface QuestionerOptions {
  /** Bodies, and as many query strings, whose reading is remembered. */
  memoEntries?: number
  maxDepth?: number
  maxNodes?: number
}

/** Raised when the parts of a key or their spelling change: old entries are then never found again. */
const SCHEMA = 'sluice-1'
/** Larger bodies are known by their hash alone: the memo of whole questions holds them as they came. */
const MAX_WHOLE_BYTES = 4_096
/** Of all whole questions together. */
const MAX_WHOLE_CHARS = 8 * 1024 * 1024
/** Longer query strings are read anew each time, so that the memo's entries bound its bytes. */
const MAX_MEMO_QUERY_CHARS = 2_048

interface Learnt {
  readonly bypassed: readonly boolean[]
  readonly values: readonly (readonly string[])[]
  /** The finished tags, where the body alone decides them. */
  readonly tags: readonly string[] | null
}

/** Turns requests of one cached route into questions. On the hot path: no parse and no promise for a body seen before. */
export class Questioner {
  readonly #fixedParts: Explanation['parts']
  readonly #headers: readonly string[]
  readonly #ignoreQuery: ReadonlySet<string>
  readonly #tagger: Tagger
  readonly #bypass: BypassRules
  readonly #bodies: BodyReader<Learnt>
  readonly #queries: LRUCache<string, QueryFacts>
  readonly #prefix: string
  /** Every header that this policy looks at, for the memo of whole questions. */
  readonly #seenHeaders: readonly string[]
  readonly #wholes: LRUCache<string, Question>

  /** Throws an Error for a path, tag or bypass rule that is malformed or can never work. */
  constructor(policy: KeyPolicy, { memoEntries = 5_000, maxDepth = 64, maxNodes = 100_000 }: QuestionerOptions = {}) {
    const outline = new Outline()
    for (const path of policy.ignoreBody) outline.ignore(path)
    this.#headers = keyedHeaders(policy)
    this.#fixedParts = fixedParts(policy, this.#headers)
    this.#ignoreQuery = new Set(policy.ignoreQuery)
    const { tags, body } = policy
    this.#tagger = new Tagger({ tags, body, ignoreQuery: this.#ignoreQuery, keyedHeaders: this.#headers }, outline)
    this.#bypass = new BypassRules(policy.bypass, body, outline)
    const learn = (values: readonly (readonly string[])[]) => this.#learn(values)
    this.#bodies = new BodyReader({ mode: body, outline, bounds: { maxDepth, maxNodes }, memoEntries, learn })
    this.#queries = new LRUCache({ max: memoEntries })
    this.#seenHeaders = [...new Set([...this.#headers, ...BODY_HEADERS, ...this.#bypass.headers])]
    this.#wholes = new LRUCache({
      max: memoEntries,
      maxSize: MAX_WHOLE_CHARS,
      sizeCalculation: (_, name) => name.length,
    })
    this.#prefix = this.#fixedParts.map((part) => frame(part.value)).join('')
  }

  /** How often a body was known by its bytes, for metrics and tests. */
  get memo(): { size: number; hits: number; misses: number } {
    return { size: this.#bodies.size, ...this.#bodies.counts }
  }

  /**
   * Throws BODY_INVALID. A question that was asked before, to the byte, is found by one look-up: no hash, no parse.
   * Its name is framed like the key, so two questions never have one.
   */
  ask(asked: Asked): Question {
    if (asked.body.length > MAX_WHOLE_BYTES) return this.#work(asked)
    const name = this.#nameOf(asked)
    const known = this.#wholes.get(name)
    if (known) return known
    const question = this.#work(asked)
    this.#wholes.set(name, question)
    return question
  }

  #nameOf({ identity, method, path, query, headers, body }: Asked): string {
    let name = frame(identity) + frame(method) + frame(path) + frame(query)
    for (const header of this.#seenHeaders) name += frame(headerValue(headers, header))
    return name + body.toString('latin1')
  }

  #work(asked: Asked): Question {
    const body = this.#bodies.read(asked)
    const query = this.#query(asked.query)
    const { headers } = asked
    const asking = { query, headers }
    return {
      key: this.#key(asked, query.canonical, body.digest),
      tags: body.learnt.tags ?? this.#tagger.tags(body.learnt.values, asking),
      bypass: this.#bypass.verdict(body.learnt.bypassed, asking),
      bodyDigest: body.digest,
    }
  }

  /** The same question with all that went into it. The identity is shown as given: its secrets are the caller's to hash. */
  explain(asked: Asked): Explanation {
    const { key, tags, bypass, bodyDigest } = this.ask(asked)
    const canonicalQuery = this.#query(asked.query).canonical
    const parts: Explanation['parts'] = [
      ...this.#fixedParts,
      { name: 'identity', value: asked.identity },
      { name: 'method', value: keyedMethod(asked.method) },
      { name: 'path', value: asked.path },
      { name: 'query', value: canonicalQuery },
      { name: 'body', value: bodyDigest },
    ]
    for (const name of this.#headers)
      parts.push({ name: `header ${name}`, value: headerValue(asked.headers, name) ?? '(absent)' })
    return { parts, canonicalBody: this.#bodies.canonical(asked), canonicalQuery, key, tags, bypass }
  }

  /** What `explain` lists, in that order; a test holds the two together. Written out because it is the hot path. */
  #key({ identity, method, path, headers }: Asked, canonicalQuery: string, bodyDigest: string): string {
    let framed = this.#prefix + frame(identity) + frame(keyedMethod(method)) + frame(path)
    framed += frame(canonicalQuery) + frame(bodyDigest)
    for (const name of this.#headers) framed += frame(headerValue(headers, name))
    return keyOf(framed)
  }

  #query(query: string): QueryFacts {
    if (query === '' || query.length > MAX_MEMO_QUERY_CHARS) return readQuery(query, this.#ignoreQuery)
    const known = this.#queries.get(query)
    if (known) return known
    const facts = readQuery(query, this.#ignoreQuery)
    this.#queries.set(query, facts)
    return facts
  }

  #learn(found: readonly (readonly string[])[]): Learnt {
    const values = found.map(keepable)
    const tags = this.#tagger.bodyDecides ? this.#tagger.tags(values, NOTHING_ASKED) : null
    return { bypassed: this.#bypass.bodyVerdict(found), values, tags }
  }
}

/** They say how the bytes of a body are to be read. */
const BODY_HEADERS = ['content-type', 'content-encoding']

const NOTHING_ASKED: Asking = { query: readQuery('', new Set()), headers: {} }

/** The same for every request of the route. The policy is one of them: what a reload keys otherwise is another key. */
function fixedParts(policy: KeyPolicy, headers: readonly string[]): { name: string; value: string }[] {
  const { route, upstream, body, ignoreBody, ignoreQuery } = policy
  return [
    { name: 'schema', value: SCHEMA },
    { name: 'upstream', value: upstream },
    { name: 'route', value: route },
    { name: 'policy', value: JSON.stringify({ body, ignoreBody, ignoreQuery, headers }) },
  ]
}

/** Raw bytes mean nothing without their type and coding, so those two are keyed with them whether asked for or not. */
function keyedHeaders({ body, varyHeaders }: KeyPolicy): string[] {
  const always = body === 'raw' ? ['content-type', 'content-encoding'] : []
  return [...new Set([...varyHeaders.map((name) => name.toLowerCase()), ...always])].sort()
}

/** node:http gives one string for all headers but set-cookie, whose list is framed so that it cannot pose as a string. */
function headerValue(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'object' ? value.map(frame).join('') : value
}

/** HEAD is answered from what GET stored. */
const keyedMethod = (method: string): string => (method === 'HEAD' ? 'GET' : method)
