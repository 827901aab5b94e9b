import type { ServerResponse } from 'node:http'
import { type Origin, type Seen, startOrigin } from './origin.ts'

type Respond = (res: ServerResponse) => unknown

/** A request that the origin has been asked, and has not answered yet. */
export interface Held {
  readonly name: string
  readonly tenant: string
  readonly seen: Seen
  readonly res: ServerResponse
  /** Ends the wait of this one. */
  letGo(respond?: Respond): void
  /** Resolves when its answer is over: sent, or no longer wanted. */
  readonly over: Promise<'answered' | 'aborted'>
}

/**
 * An origin behind a gate: it counts what it is asked at a time, and holds each answer until it is told. A question's
 * name is `q` of its body, or the last part of its path.
 */
export interface Gate extends AsyncDisposable {
  readonly url: string
  readonly origin: Origin
  /** All it was asked, in that order. */
  readonly asked: readonly Held[]
  names(tenant?: string): string[]
  /** What is under way now, and the most that was at a time. */
  running(tenant?: string): number
  peak(tenant?: string): number
  /** Resolves once it is asked this for the nth time. */
  arrival(name: string, nth?: number): Promise<Held>
  /** Answers this one as soon as it is asked, without a hold; without a name, everything that is held and still comes. */
  letGo(name?: string, respond?: Respond): void
}

const ROWS: Respond = (res) => void res.end('{"rows":[]}')

export async function startGate(): Promise<Gate> {
  const asked: Held[] = []
  const running = new Map<string, number>()
  const peaks = new Map<string, number>()
  const free = new Map<string, Respond>()
  let all: Respond | undefined
  let watchers: (() => void)[] = []
  const count = (tenant: string, by: 1 | -1) => {
    for (const whose of [tenant, '']) {
      const now = (running.get(whose) ?? 0) + by
      running.set(whose, now)
      peaks.set(whose, Math.max(now, peaks.get(whose) ?? 0))
    }
  }
  const origin = await startOrigin(async (req, res) => {
    const tenant = String(req.headers['x-tenant-id'] ?? '-')
    count(tenant, 1)
    const gone = Promise.withResolvers<'answered' | 'aborted'>()
    res.on('close', () => {
      count(tenant, -1)
      gone.resolve(res.writableFinished ? 'answered' : 'aborted')
    })
    const gate = Promise.withResolvers<Respond>()
    const letGo = (respond: Respond = ROWS) => gate.resolve(respond)
    const held = { name: nameOf(req), tenant, seen: origin.seen.at(-1)!, res, letGo, over: gone.promise }
    asked.push(held)
    for (const watch of watchers) watch()
    const respond = free.get(held.name) ?? all
    if (respond) letGo(respond)
    await (await gate.promise)(res)
  })
  const arrived = (name: string, nth: number) => asked.filter((held) => held.name === name)[nth - 1]
  return {
    url: origin.url,
    origin,
    asked,
    names: (tenant) => asked.filter((held) => !tenant || held.tenant === tenant).map(({ name }) => name),
    running: (tenant = '') => running.get(tenant) ?? 0,
    peak: (tenant = '') => peaks.get(tenant) ?? 0,
    arrival: (name, nth = 1) =>
      new Promise((resolve) => {
        const look = () => {
          const held = arrived(name, nth)
          if (held) resolve(held)
          watchers = held ? watchers.filter((watch) => watch !== look) : [...new Set([...watchers, look])]
        }
        look()
      }),
    letGo: (name, respond = ROWS) => {
      if (name === undefined) all = respond
      else free.set(name, respond)
      for (const held of asked) if (name === undefined || held.name === name) held.letGo(respond)
    },
    [Symbol.asyncDispose]: () => origin[Symbol.asyncDispose](),
  }
}

function nameOf({ url, body }: { url?: string | undefined; body: string }): string {
  const { q } = body.startsWith('{') ? JSON.parse(body) : {}
  return q ?? url!.split('?')[0]!.split('/').at(-1)!
}
