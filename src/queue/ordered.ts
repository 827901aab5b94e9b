/**
 * A set whose members have scores, as Redis' sorted sets: least score first, equal scores by the members' text.
 * An indexed binary heap: adding, moving and removing cost O(log n), looking at the first O(1).
 */
export class OrderedSet {
  readonly #members: string[] = []
  readonly #scores: number[] = []
  readonly #places = new Map<string, number>()

  get size(): number {
    return this.#members.length
  }

  /** The member that comes first, without removing it. */
  get first(): { member: string; score: number } | undefined {
    const member = this.#members[0]
    return member === undefined ? undefined : { member, score: this.#scores[0]! }
  }

  scoreOf(member: string): number | undefined {
    const at = this.#places.get(member)
    return at === undefined ? undefined : this.#scores[at]
  }

  set(member: string, score: number): void {
    const at = this.#places.get(member) ?? this.#members.push(member) - 1
    this.#put(at, member, score)
    this.#down(this.#up(at))
  }

  delete(member: string): boolean {
    const at = this.#places.get(member)
    if (at === undefined) return false
    this.#places.delete(member)
    const last = this.#members.pop()!
    const score = this.#scores.pop()!
    if (last === member) return true
    this.#put(at, last, score)
    this.#down(this.#up(at))
    return true
  }

  /** The first member that `skip` does not hold; costs O((skipped + 1) log n). */
  firstBut(skip: ReadonlySet<string>): { member: string; score: number } | undefined {
    const aside: { member: string; score: number }[] = []
    while (this.first && skip.has(this.first.member)) {
      aside.push(this.first)
      this.delete(this.first.member)
    }
    const found = this.first
    for (const { member, score } of aside) this.set(member, score)
    return found
  }

  /** Members with a score of at most `score`, in their order, at most `limit` of them. */
  upTo(score: number, limit: number): string[] {
    const aside: { member: string; score: number }[] = []
    while (aside.length < limit && this.first && this.first.score <= score) {
      aside.push(this.first)
      this.delete(this.first.member)
    }
    for (const one of aside) this.set(one.member, one.score)
    return aside.map(({ member }) => member)
  }

  members(): IterableIterator<string> {
    return this.#members.values()
  }

  #put(at: number, member: string, score: number): void {
    this.#members[at] = member
    this.#scores[at] = score
    this.#places.set(member, at)
  }

  #before(a: number, b: number): boolean {
    return comesBefore(this.#scores[a]!, this.#members[a]!, this.#scores[b]!, this.#members[b]!)
  }

  #swap(a: number, b: number): void {
    const [member, score] = [this.#members[a]!, this.#scores[a]!]
    this.#put(a, this.#members[b]!, this.#scores[b]!)
    this.#put(b, member, score)
  }

  #up(from: number): number {
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.#before(at, parent)) break
      this.#swap(at, parent)
      at = parent
    }
    return at
  }

  #down(from: number): void {
    let at = from
    for (;;) {
      let least = at
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < this.#members.length && this.#before(child, least)) least = child
      }
      if (least === at) return
      this.#swap(at, least)
      at = least
    }
  }
}

const comesBefore = (scoreA: number, a: string, scoreB: number, b: string): boolean =>
  scoreA < scoreB || (scoreA === scoreB && a < b)
