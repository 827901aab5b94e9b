import type { Clock } from '../kernel/clock.ts'
import { assertBytes, type Ledger, MAX_GONE } from './ledger.ts'

/** How often all tenants are looked through for what expired. */
const TIDY_MS = 60_000

interface Account {
  /** The oldest first. */
  results: Map<string, { bytes: number; expiresAt: number }>
  bytes: number
}

/** For one process. What a tenant may have bounds it; what expired stays for a minute at most after somebody adds. */
export class MemoryLedger implements Ledger {
  readonly #clock: Clock
  readonly #accounts = new Map<string, Account>()
  #tidyAt = 0

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock
  }

  async add(tenant: string, id: string, bytes: number, expiresAt: number, maxBytes: number): Promise<string[]> {
    assertBytes(bytes)
    const nowAt = this.#clock.now()
    this.#tidy(nowAt)
    const account = this.#open(tenant)
    take(account, id)
    if (bytes > maxBytes) return [id]
    if (expiresAt > nowAt) put(account, id, bytes, expiresAt)
    if (account.bytes > maxBytes) strikeExpired(account, nowAt)
    return takeOldest(account, maxBytes)
  }

  async remove(tenant: string, id: string): Promise<void> {
    const account = this.#accounts.get(tenant)
    if (account) take(account, id)
  }

  async total(tenant: string): Promise<number> {
    const account = this.#accounts.get(tenant)
    if (!account) return 0
    strikeExpired(account, this.#clock.now())
    return account.bytes
  }

  /** Tenants it remembers, for tests. */
  get size(): number {
    return this.#accounts.size
  }

  #open(tenant: string): Account {
    const account = this.#accounts.get(tenant) ?? { results: new Map(), bytes: 0 }
    this.#accounts.set(tenant, account)
    return account
  }

  #tidy(nowAt: number): void {
    if (nowAt < this.#tidyAt) return
    this.#tidyAt = nowAt + TIDY_MS
    for (const [tenant, account] of this.#accounts) {
      strikeExpired(account, nowAt)
      if (account.results.size === 0) this.#accounts.delete(tenant)
    }
  }
}

function put(account: Account, id: string, bytes: number, expiresAt: number): void {
  account.results.set(id, { bytes, expiresAt })
  account.bytes += bytes
}

function take(account: Account, id: string): void {
  account.bytes -= account.results.get(id)?.bytes ?? 0
  account.results.delete(id)
}

function strikeExpired(account: Account, nowAt: number): void {
  for (const [id, { expiresAt }] of account.results) if (expiresAt <= nowAt) take(account, id)
}

function takeOldest(account: Account, maxBytes: number): string[] {
  const gone: string[] = []
  for (const id of account.results.keys()) {
    if (account.bytes <= maxBytes || gone.length === MAX_GONE) break
    take(account, id)
    gone.push(id)
  }
  return gone
}
