import { isUtf8 } from 'node:buffer'
import type { IncomingHttpHeaders } from 'node:http'
import { LRUCache } from 'lru-cache'
import { sha256 } from '../kernel/digest.ts'
import { Refusal } from '../kernel/errors.ts'
import { type Bounds, canonicalJson } from './json.ts'
import type { Outline } from './outline.ts'

export type BodyMode = 'json' | 'raw' | 'none'

/** Bodies are told apart by method here: an empty POST to a JSON route is a mistake, an empty GET is not. */
export interface BodyAsked {
  readonly method: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** What is known of a body. `learnt` is whatever the caller makes of the values at the outline's places. */
export interface BodyFacts<T> {
  /** SHA-256 of the canonical (json) or the received (raw) bytes; '' without a body. */
  readonly digest: string
  readonly learnt: T
}

export interface BodyReaderOptions<T> {
  mode: BodyMode
  outline: Outline
  bounds: Bounds
  memoEntries: number
  learn: (values: readonly (readonly string[])[]) => T
}

const METHODS_WITH_BODY: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH', 'QUERY'])

/**
 * Reads bodies for their keys. Two levels: the hash of the bytes as received finds what was learnt of them before, so a
 * dashboard that asks the same again is not parsed again. Only bodies that were accepted are remembered.
 */
export class BodyReader<T> {
  readonly #mode: BodyMode
  readonly #outline: Outline
  readonly #bounds: Bounds
  readonly #learn: (values: readonly (readonly string[])[]) => T
  readonly #memo: LRUCache<string, BodyFacts<T>>
  readonly #noBody: BodyFacts<T>
  readonly counts = { hits: 0, misses: 0 }

  constructor({ mode, outline, bounds, memoEntries, learn }: BodyReaderOptions<T>) {
    this.#mode = mode
    this.#outline = outline
    this.#bounds = bounds
    this.#learn = learn
    this.#memo = new LRUCache({ max: memoEntries })
    this.#noBody = { digest: '', learnt: learn([]) }
  }

  get size(): number {
    return this.#memo.size
  }

  /** Throws BODY_INVALID. */
  read(asked: BodyAsked): BodyFacts<T> {
    if (asked.body.length === 0) return this.#readNothing(asked.method)
    if (this.#mode === 'json') return this.#readJson(asked)
    if (this.#mode === 'raw') return { digest: sha256(asked.body), learnt: this.#noBody.learnt }
    // A body that is forwarded but not keyed would let one caller choose another's answer ("fat GET").
    throw new Refusal('BODY_INVALID', { detail: 'this route is keyed without a body and takes none (body: none)' })
  }

  /** The text that is keyed; null without a body or where the bytes are keyed as they are. Throws BODY_INVALID. */
  canonical({ headers, body }: BodyAsked): string | null {
    if (this.#mode !== 'json' || body.length === 0) return null
    refuseOtherThanJson(headers)
    return canonicalJson(decodeUtf8(body), this.#outline, this.#bounds).text
  }

  #readNothing(method: string): BodyFacts<T> {
    if (this.#mode === 'json' && METHODS_WITH_BODY.has(method)) {
      throw new Refusal('BODY_INVALID', {
        detail: `a ${method} to this route needs a JSON body, and this one is empty`,
      })
    }
    return this.#noBody
  }

  #readJson({ headers, body }: BodyAsked): BodyFacts<T> {
    refuseOtherThanJson(headers)
    const received = sha256(body)
    const known = this.#memo.get(received)
    if (known) {
      this.counts.hits++
      return known
    }
    this.counts.misses++
    const { text, values } = canonicalJson(decodeUtf8(body), this.#outline, this.#bounds)
    const facts = { digest: sha256(text), learnt: this.#learn(values) }
    this.#memo.set(received, facts)
    return facts
  }
}

/** Headers say how the upstream will read the bytes; read otherwise here, the key would be of another question. */
function refuseOtherThanJson(headers: IncomingHttpHeaders): void {
  const coding = headers['content-encoding']
  if (coding !== undefined && coding.trim().toLowerCase() !== 'identity') {
    throw new Refusal('BODY_INVALID', {
      detail: `this route takes no compressed bodies (content-encoding: ${shown(coding)})`,
    })
  }
  const type = headers['content-type']
  if (type === undefined || type === 'application/json') return
  refuseOtherType(type)
}

function refuseOtherType(type: string): void {
  const [essence = '', ...parameters] = type
    .toLowerCase()
    .split(';')
    .map((piece) => piece.trim())
  if (!/^(?:application\/json|text\/json|[\w.+-]+\/[\w.-]+\+json)$/.test(essence)) {
    throw new Refusal('BODY_INVALID', { detail: `this route takes application/json, not '${shown(essence)}'` })
  }
  const charset = parameters
    .find((parameter) => parameter.startsWith('charset='))
    ?.slice(8)
    .replaceAll('"', '')
  if (charset !== undefined && !['utf-8', 'utf8', 'us-ascii'].includes(charset)) {
    throw new Refusal('BODY_INVALID', { detail: `this route takes JSON in UTF-8, not in '${shown(charset)}'` })
  }
}

function decodeUtf8(body: Buffer): string {
  if (!isUtf8(body)) throw new Refusal('BODY_INVALID', { detail: 'not usable as JSON: the bytes are not valid UTF-8' })
  if (body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf) {
    throw new Refusal('BODY_INVALID', {
      detail: 'not usable as JSON: it starts with a byte order mark (RFC 8259 section 8.1)',
    })
  }
  return body.toString('utf8')
}

const shown = (text: string): string => text.slice(0, 80)
