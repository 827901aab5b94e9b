import type { Worker } from 'node:cluster'
import type { Answers, Order, Question, Report } from './orders.ts'
import type { MetricJson } from './totals.ts'

/** A process that has not answered after so long does not: it hangs, or is stopped. */
const ANSWER_MS = 5_000

export interface End {
  code: number
  signal: string
}

interface Asked {
  what: Question['what']
  answered: PromiseWithResolvers<unknown>
}

/** One of several processes, as the first one sees it. */
export class Member {
  readonly #worker: Worker
  readonly #asked = new Map<number, Asked>()
  readonly #bornAt = Date.now()
  readonly #opened = Promise.withResolvers<number | null>()
  readonly #ended = Promise.withResolvers<End>()
  #questions = 0
  #isOpen = false
  /** What it had counted when it was last asked; its own last word once it has left in order. */
  #counted: MetricJson[] = []
  #hasLeft = false
  /** It was told to go: nobody mourns it. */
  isLeaving = false

  constructor(worker: Worker, heard: (report: Report) => void) {
    this.#worker = worker
    this.#opened.promise.catch(() => {}) // who waits for it is told
    worker.on('message', (report: Report) => {
      this.#hear(report)
      heard(report)
    })
    worker.once('exit', (code, signal) => this.#end({ code, signal }))
  }

  get pid(): number | undefined {
    return this.#worker.process.pid
  }

  get ageMs(): number {
    return Date.now() - this.#bornAt
  }

  /** Its port once it serves; null where it has no data door. Rejects when it ends before. */
  get opened(): Promise<number | null> {
    return this.#opened.promise
  }

  get ended(): Promise<End> {
    return this.#ended.promise
  }

  /** Whether it can be asked: it serves, and has not said its last word. */
  get isAnswering(): boolean {
    return this.#isOpen && !this.#hasLeft
  }

  get counted(): readonly MetricJson[] {
    return this.#counted
  }

  /** One that has just died is mourned by its end; that it cannot be written to is no news. */
  tell(order: Order): void {
    if (this.#worker.isConnected()) this.#worker.send(order, () => {})
  }

  /** Null when it ends before it answers. Rejects when it hangs. */
  async ask<W extends Question['what']>(question: Extract<Question, { what: W }>): Promise<Answers[W] | null> {
    const n = ++this.#questions
    const answered = Promise.withResolvers<unknown>()
    this.#asked.set(n, { what: question.what, answered })
    const hangs = setTimeout(() => answered.reject(new Error(`process ${this.pid} does not answer`)), ANSWER_MS)
    this.tell({ kind: 'ask', n, question })
    try {
      return (await answered.promise) as Answers[W] | null
    } finally {
      clearTimeout(hangs)
      this.#asked.delete(n)
    }
  }

  #hear(report: Report): void {
    if (report.kind === 'open') {
      this.#isOpen = true
      this.#opened.resolve(report.port)
    } else if (report.kind === 'answer') {
      const asked = this.#asked.get(report.n)
      if (asked?.what === 'metrics') this.#counted = report.answer as MetricJson[]
      asked?.answered.resolve(report.answer)
    } else if (report.kind === 'farewell') {
      this.#hasLeft = true
      this.#counted = report.metrics
      for (const { what, answered } of this.#asked.values()) if (what === 'metrics') answered.resolve(report.metrics)
    }
  }

  #end(end: End): void {
    this.#isOpen = false
    this.#opened.reject(new Error(`a process ended with ${end.code} before it was ready`))
    for (const { answered } of this.#asked.values()) answered.resolve(null)
    this.#ended.resolve(end)
  }
}
