import type { ServerResponse } from 'node:http'
import type { Origin } from './origin.ts'

export interface HeldQuestion {
  readonly path: string
  /** How often the origin was asked it. */
  asked(): number
  /** Resolves when it was asked for the nth time. */
  arrived(n: number): Promise<void>
  /** Lets the nth answer go; without a number all of them, also those still to come. */
  letGo(n?: number): void
}

type Respond = (n: number, res: ServerResponse) => void

let made = 0

/**
 * A question that no other test asks, whose answers the origin holds until it is told to let them go. They are numbered
 * in the order they were asked for. Every other question is answered at once.
 */
export function holdQuestion(
  origin: Origin,
  respond: Respond = (n, res) => void res.end(`answer ${n}`),
  prefix = '/api/report',
): HeldQuestion {
  const path = `${prefix}/q${++made}`
  const held: { arrival: PromiseWithResolvers<void>; gate: PromiseWithResolvers<void> }[] = []
  const of = (n: number) => {
    held[n] ??= { arrival: Promise.withResolvers(), gate: Promise.withResolvers() }
    return held[n]
  }
  let asked = 0
  let isOpen = false
  origin.answer(async (req, res) => {
    if (req.url!.split('?')[0] !== path) return res.end('{}')
    const n = ++asked
    of(n).arrival.resolve()
    if (!isOpen) await of(n).gate.promise
    respond(n, res)
  })
  return {
    path,
    asked: () => asked,
    arrived: (n) => of(n).arrival.promise,
    letGo: (n) => {
      if (n !== undefined) return of(n).gate.resolve()
      isOpen = true
      for (const one of held) one?.gate.resolve()
    },
  }
}
