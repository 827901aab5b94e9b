import { randomBytes } from 'node:crypto'
import type { Clock } from '../kernel/clock.ts'
import type { Purge } from '../kernel/news.ts'
import { luaScript } from '../kernel/redis/script.ts'
import type { RedisStore } from '../kernel/redis/store.ts'
import { type Entry, type Found, OVERHEAD_BYTES, PASS_MS, type Place, type Ticket } from './entry.ts'
import { FarKeys, LEDGER_ROOM, UNIT_BYTES } from './far.keys.ts'
import { type Bounds, type Far, FarEvents, type FarStats, type FarView, type FillOutcome } from './far.ts'
import { decodeFrame, encodeEntry, encodePass, instantBytes, MAGIC } from './frame.ts'
import { endOf } from './freshness.ts'
import { Touches } from './touches.ts'

const beginScript = luaScript(new URL('./scripts/begin.lua', import.meta.url))
const fillScript = luaScript(new URL('./scripts/fill.lua', import.meta.url))
const trimScript = luaScript(new URL('./scripts/trim.lua', import.meta.url))
const rearmScript = luaScript(new URL('./scripts/rearm.lua', import.meta.url))

/** Longer than any upstream may take: past it a leader's answer is refused. */
const FENCE_MS = 600_000
/** How late the least-recently-used order may be. */
const FLUSH_MS = 1_000
/** Each round evicts 100; an answer of 100 MiB in a budget full of 1 KiB entries needs 700. */
const MAX_TRIM_ROUNDS = 1_000

/** A value never seen before: 72 random bits. A counter would start again after an eviction, and old entries be valid again. */
const newGeneration = (): string => randomBytes(9).toString('base64url')

export interface RedisFarOptions {
  store: Pick<RedisStore, 'run' | 'runBulk' | 'keys'>
  clock: Clock
  fenceMs?: number
}

interface Framing {
  /** Made under the ticket's generation. */
  framed: Buffer
  lifeMs: number
  maxTenantBytes: number
}

/** Shared by every gateway. Borrows its store: whoever opened it closes it. */
export class RedisFar implements Far {
  readonly #store: RedisFarOptions['store']
  readonly #clock: Clock
  readonly #keys: FarKeys
  readonly #fenceMs: number
  readonly #events = new FarEvents()
  readonly #touches = new Touches()
  readonly #closing = new AbortController()
  #flushIsDue = false

  constructor({ store, clock, fenceMs = FENCE_MS }: RedisFarOptions) {
    this.#store = store
    this.#clock = clock
    this.#keys = new FarKeys(store.keys)
    this.#fenceMs = fenceMs
  }

  /** One plain MGET: ioredis sends those of one turn of the loop together. */
  async read(place: Place): Promise<Found> {
    const keys = [this.#keys.entry(place), ...this.#keys.generations(place)]
    const [framed, ...generations] = await this.#store.runBulk('cache.read', (redis) => redis.mgetBuffer(keys))
    const found = this.#valid(place, framed, joined(generations))
    if (found) this.#touch(place)
    return found
  }

  async begin(place: Place, token: string): Promise<{ found: Found; ticket: Ticket }> {
    const keys = [this.#keys.fence(place), ...this.#keys.generations(place)]
    const args = [token, this.#fenceMs, newGeneration()]
    // Both leave together on one connection, the script first: one round trip, and no body passes through Lua.
    const beginning = this.#store.runBulk('cache.begin', (redis) => beginScript(redis, keys, args))
    const [generations, found] = await Promise.all([beginning, this.read(place)])
    return { found, ticket: { token, generation: (generations as string[]).join(' ') } }
  }

  async fill(place: Place, entry: Entry, ticket: Ticket, { maxTenantBytes }: Bounds): Promise<FillOutcome> {
    const framed = encodeEntry(place.key, ticket.generation, entry)
    if (unitsOf(framed) > Math.min(maxTenantBytes / UNIT_BYTES, LEDGER_ROOM - 1)) return 'full'
    const lifeMs = Math.max(1, Math.ceil(endOf(entry) - this.#clock.now()))
    return this.#put(place, ticket, { framed, lifeMs, maxTenantBytes })
  }

  async fillPass(place: Place, ticket: Ticket): Promise<FillOutcome> {
    const framed = encodePass(place.key, ticket.generation)
    return this.#put(place, ticket, { framed, lifeMs: PASS_MS, maxTenantBytes: Number.MAX_SAFE_INTEGER })
  }

  /** Fill and trim leave together: one round trip, and a tenant is over its budget for no longer than between the two. */
  async #put(place: Place, ticket: Ticket, { framed, lifeMs, maxTenantBytes }: Framing): Promise<FillOutcome> {
    const { tenant, key } = place
    const books = this.#keys.books(tenant)
    const keys = [this.#keys.entry(place), ...books, this.#keys.fence(place), ...this.#keys.generations(place)]
    const { token, generation } = ticket
    const { channel } = this.#store.keys
    const size = unitsOf(framed)
    const args = [token, generation, framed, lifeMs, this.#clock.now(), key, size, LEDGER_ROOM, channel]
    const filling = this.#store.runBulk('cache.fill', (redis) => fillScript(redis, keys, args))
    const trimming = this.#trim(tenant, maxTenantBytes)
    const outcome = (await filling) as FillOutcome
    await trimming
    return outcome
  }

  async #trim(tenant: string, maxBytes: number): Promise<void> {
    const keys = this.#keys.books(tenant)
    const args = [Math.floor(maxBytes / UNIT_BYTES), LEDGER_ROOM, this.#keys.entryPrefix(tenant)]
    try {
      for (let round = 0; round < MAX_TRIM_ROUNDS; round++) {
        const reply = await this.#store.runBulk('cache.trim', (redis) => trimScript(redis, keys, args))
        const [over, evicted] = reply as [number, number]
        this.#events.count('evicted', evicted)
        if (over <= 0 || evicted === 0) return
      }
    } catch {
      this.#events.count('trim-failed') // the next fill of this tenant trims what this one could not
    }
  }

  async rearm(place: Place, entry: Entry): Promise<void> {
    const keys = [this.#keys.entry(place)]
    const args = [MAGIC, instantBytes(entry.storedAt), instantBytes(entry.rearmedAt)]
    await this.#store.run('cache.rearm', (redis) => rearmScript(redis, keys, args))
  }

  async purge(what: Purge): Promise<void> {
    const groups = this.#keys.purged(what).filter((keys) => keys.length > 0)
    await this.#store.run('cache.purge', (redis) => Promise.all(groups.map((keys) => redis.del(keys))))
  }

  async inspect(place: Place): Promise<FarView> {
    const keys = [this.#keys.entry(place), this.#keys.fence(place), ...this.#keys.generations(place)]
    const [values, leftMs] = await this.#store.runBulk('cache.inspect', (redis) =>
      Promise.all([redis.mgetBuffer(keys), redis.pttl(keys[0]!)]),
    )
    const [framed, fence, ...generations] = values
    const generation = joined(generations)
    const found = this.#valid(place, framed, generation)
    return {
      kind: found?.kind ?? null,
      leftMs: found ? Math.max(0, leftMs) : null,
      bytes: found ? framed!.length : null,
      generation,
      isFenced: fence !== null,
    }
  }

  stats(): FarStats {
    return { bytes: undefined, entries: undefined, events: this.#events.counts }
  }

  #valid(place: Place, framed: Buffer | null | undefined, generation: string | null): Found {
    if (!framed || generation === null) return null
    const decoded = decodeFrame(framed, place.key)
    if (!decoded) this.#events.count('garbage')
    return decoded?.generation === generation ? decoded.found : null
  }

  #touch(place: Place): void {
    if (!this.#touches.add(place)) this.#events.count('touches-dropped')
    if (this.#flushIsDue || this.#closing.signal.aborted) return
    this.#flushIsDue = true
    this.#clock.sleep(FLUSH_MS, this.#closing.signal).then(
      () => this.flush(),
      () => {}, // closed while it slept: the order is then as exact as it needs to be
    )
  }

  /** Tells Redis what was read. Runs by itself about once a second while there are reads. Never rejects. */
  async flush(): Promise<void> {
    this.#flushIsDue = false
    const groups = this.#touches.take()
    const nowAt = this.#clock.now()
    const notes = groups.map(({ tenant, keys }) => ({
      books: this.#keys.recent(tenant),
      pairs: keys.flatMap((key) => [nowAt, key]),
    }))
    try {
      await this.#store.run('cache.touch', (redis) =>
        Promise.all(notes.map(({ books, pairs }) => redis.zadd(books, 'XX', 'GT', ...pairs))),
      )
    } catch {
      this.#events.count('touches-failed')
    }
  }

  async close(): Promise<void> {
    this.#closing.abort()
  }
}

const unitsOf = (framed: Buffer): number => Math.ceil((framed.length + OVERHEAD_BYTES) / UNIT_BYTES)

/** Null unless every generation is there. */
function joined(generations: readonly (Buffer | null)[]): string | null {
  const texts: string[] = []
  for (const generation of generations) {
    if (generation === null) return null
    texts.push(generation.toString('latin1'))
  }
  return texts.join(' ')
}
