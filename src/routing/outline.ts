/**
 * The places of a JSON body that a route's policy names: left out of the key, or wanted for tags and bypass rules.
 * Dotted paths; a segment is an object's key or an array's index, `*` is any one of either. A key that holds a dot
 * cannot be named. Compiled into a tree that the reader walks along with the body, so that naming costs next to nothing.
 */
export interface Mark {
  /** By the key's canonical JSON token, quotes and all: the form the reader has in hand. Array indexes likewise. */
  readonly named: Map<string, Mark>
  any: Mark | null
  ignored: boolean
  readonly slots: number[]
}

/** The marks that hold at one place of the body; several where `*` and a name both lead there. */
export type Marks = readonly Mark[]

export const NO_MARKS: Marks = []

export class Outline {
  readonly #root = newMark()
  readonly #ignored: string[][] = []
  #slots = 0

  /** How many values are wanted. */
  get slots(): number {
    return this.#slots
  }

  get marks(): Marks {
    return this.#root.any || this.#root.named.size > 0 ? [this.#root] : NO_MARKS
  }

  ignore(path: string): void {
    const segments = parsePath(path)
    this.#ignored.push(segments)
    this.#markAt(segments).ignored = true
  }

  /** @returns the slot under which the reader reports what stood there */
  want(path: string): number {
    this.#markAt(parsePath(path)).slots.push(this.#slots)
    return this.#slots++
  }

  /** Whether some body has this place left out of its key. */
  isIgnored(path: string): boolean {
    const segments = parsePath(path)
    return this.#ignored.some((ignored) => leadsTo(ignored, segments))
  }

  #markAt(segments: readonly string[]): Mark {
    return segments.reduce((mark, segment) => descend(mark, segment), this.#root)
  }
}

/** The marks one step further down. `token` is a canonical JSON string. */
export function step(marks: Marks, token: string): Marks {
  if (marks.length === 0) return NO_MARKS
  const next: Mark[] = []
  for (const mark of marks) {
    const named = mark.named.get(token)
    if (named) next.push(named)
    if (mark.any) next.push(mark.any)
  }
  return next
}

function descend(mark: Mark, segment: string): Mark {
  if (segment === '*') {
    mark.any ??= newMark()
    return mark.any
  }
  const token = JSON.stringify(segment)
  const known = mark.named.get(token)
  if (known) return known
  const made = newMark()
  mark.named.set(token, made)
  return made
}

const newMark = (): Mark => ({ named: new Map(), any: null, ignored: false, slots: [] })

const leadsTo = (ignored: readonly string[], segments: readonly string[]): boolean =>
  ignored.length <= segments.length &&
  ignored.every((segment, at) => segment === '*' || segments[at] === '*' || segment === segments[at])

function parsePath(path: string): string[] {
  const segments = path.split('.')
  if (segments.includes('')) throw new Error(`body path '${path}': must be names joined by single dots, e.g. a.b.*.c`)
  return segments
}
