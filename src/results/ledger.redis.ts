import type { Clock } from '../kernel/clock.ts'
import { luaScript } from '../kernel/redis/script.ts'
import type { RedisStore } from '../kernel/redis/store.ts'
import { assertBytes, type Ledger } from './ledger.ts'

const accountScript = luaScript(new URL('./scripts/account.lua', import.meta.url))

type LedgerStore = Pick<RedisStore, 'run' | 'keys'>

/** Shared by every gateway: three keys per tenant that has results. Borrows its store. */
export class RedisLedger implements Ledger {
  readonly #store: LedgerStore
  readonly #clock: Clock

  constructor({ store, clock }: { store: LedgerStore; clock: Clock }) {
    this.#store = store
    this.#clock = clock
  }

  async add(tenant: string, id: string, bytes: number, expiresAt: number, maxBytes: number): Promise<string[]> {
    assertBytes(bytes)
    const [, ...gone] = await this.#account(tenant, [id, bytes, expiresAt, maxBytes])
    return gone
  }

  async remove(tenant: string, id: string): Promise<void> {
    await this.#account(tenant, [id, 0, 0, Number.MAX_SAFE_INTEGER])
  }

  async total(tenant: string): Promise<number> {
    const [bytes] = await this.#account(tenant, ['', 0, 0, Number.MAX_SAFE_INTEGER])
    return bytes
  }

  async #account(tenant: string, args: (string | number)[]): Promise<[bytes: number, ...gone: string[]]> {
    const keys = ['order', 'ends', 'sizes'].map((part) => this.#store.keys.of(tenant, 'results', part, tenant))
    const nowAt = this.#clock.now()
    const reply = await this.#store.run('result.account', (redis) => accountScript(redis, keys, [...args, nowAt]))
    return reply as [number, ...string[]]
  }
}
