import type { Lock } from 'redlock'
import type { Clock } from '../kernel/clock.ts'
import { encodeNews, type News } from '../kernel/news.ts'
import { luaScript } from '../kernel/redis/script.ts'
import { type FlightPlace, type Landing, type Lease, MAX_NOTE_BYTES, NOTE_MS } from './fleet.ts'
import type { FlightStore, Locks } from './lock.ts'

const landScript = luaScript(new URL('./scripts/land.lua', import.meta.url))

export interface LeaseParts {
  store: FlightStore
  locks: Locks
  clock: Clock
  leaseMs: number
}

/** A held lease. Extends itself every third of `leaseMs` until it lands or is lost. */
export class RedisLease implements Lease {
  readonly leads = true
  readonly token: string
  readonly #place: FlightPlace
  readonly #key: string
  readonly #parts: LeaseParts
  readonly #lost = new AbortController()
  readonly #landed = new AbortController()
  readonly #holding: Promise<void>
  #lock: Lock

  constructor(place: FlightPlace, lock: Lock, parts: LeaseParts) {
    this.token = lock.value
    this.#place = place
    this.#key = parts.store.keys.of(place.tenant, 'lease', place.key)
    this.#lock = lock
    this.#parts = parts
    this.#holding = this.#hold()
  }

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  async land(landing: Landing): Promise<void> {
    if (this.#landed.signal.aborted) return
    this.#landed.abort()
    await this.#holding // an extension under way must not come after the release
    // Masters first: who is woken by the news must find them free.
    await this.#parts.locks.releaseMasters(this.#lock)
    // Where the store is away the lease runs out by itself, and those who watch look for themselves by then.
    await this.#announce(landing).catch(() => {})
  }

  async #hold(): Promise<void> {
    const { clock, leaseMs } = this.#parts
    let pauseMs = leaseMs / 3
    while (await this.#sleeps(pauseMs)) {
      const extended = await this.#extend()
      if (extended === 'lost') return this.#lost.abort(new Error('the lease could not be extended in time'))
      // After an outage the tries come closer, but the last one comes no later than the lease's end.
      const leftMs = Math.max(0, this.#lock.expiration - clock.now())
      pauseMs = extended === 'held' ? leaseMs / 3 : Math.min(leaseMs / 10, leftMs)
    }
  }

  /** False when the flight has landed. */
  async #sleeps(ms: number): Promise<boolean> {
    try {
      await this.#parts.clock.sleep(ms, this.#landed.signal)
      return true
    } catch {
      return false
    }
  }

  async #extend(): Promise<'held' | 'unknown' | 'lost'> {
    try {
      const extended = await this.#parts.locks.extend(this.#key, this.#lock)
      if (!extended) return 'lost'
      this.#lock = extended
      return 'held'
    } catch {
      return this.#parts.clock.now() < this.#lock.expiration ? 'unknown' : 'lost'
    }
  }

  async #announce(landing: Landing): Promise<void> {
    const { store } = this.#parts
    const { tenant, key } = this.#place
    const note = landing.how === 'failed' && landing.note && fits(landing.note) ? landing.note : undefined
    const keys = [this.#key, store.keys.of(tenant, 'note', key)]
    const args = [this.token, note ? NOTE_MS : 0, note ?? '', store.keys.channel, encodeNews(this.#news(landing))]
    await store.run('land', (redis) => landScript(redis, keys, args))
  }

  #news({ how }: Landing): News {
    // The fill script has told 'filled'. Who was refused after that, or when the entry had been there before, still
    // waits: 'failed' without a note sends him to look, and no near tier forgets its entry over it.
    return { kind: 'landed', key: this.#place.key, how: how === 'filled' ? 'failed' : how }
  }
}

const fits = (note: Buffer): boolean => note.length > 0 && note.length <= MAX_NOTE_BYTES
