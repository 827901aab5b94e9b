/**
 * News between the gateway's processes: one shared channel, at most once, no order promised.
 * Whoever relies on it must bound what a lost message costs.
 */
export interface Bus {
  /** Never rejects: a message that cannot be sent is lost, which every listener must survive. */
  publish(message: string): void
  /** Hears every message, one's own included. Returns the way to stop hearing. */
  listen(onMessage: (message: string) => void): () => void
  /** Called when messages may have been missed (the subscription broke and is back). */
  onGap(onGap: () => void): () => void
}

/** For one process: what is published is heard at once. */
export class MemoryBus implements Bus {
  readonly #listeners = new Set<(message: string) => void>()
  readonly #gaps = new Set<() => void>()

  publish(message: string): void {
    for (const listener of this.#listeners) listener(message)
  }

  listen(onMessage: (message: string) => void): () => void {
    this.#listeners.add(onMessage)
    return () => this.#listeners.delete(onMessage)
  }

  onGap(onGap: () => void): () => void {
    this.#gaps.add(onGap)
    return () => this.#gaps.delete(onGap)
  }

  /** What a broken subscription does to its listeners. Redis' adapter and tests call it. */
  gap(): void {
    for (const gap of this.#gaps) gap()
  }
}
