import { Pool } from 'undici'
import type { Clock } from '../kernel/clock.ts'

/** How long a URL that refused a connection is passed over, if no check says otherwise. */
export const SUSPENDED_MS = 5_000
/** Failed checks in a row that take a URL out; one success brings it back. */
const CHECKS_OUT = 2
/** A health endpoint that takes longer is not healthy. */
const CHECK_TIMEOUT_MS = 5_000

/** What is known of one URL's health, from checks (active) and from requests (passive). */
export class Health {
  #failedChecks = 0
  #suspendedUntilAt = 0

  isHealthy(nowAt: number): boolean {
    return this.#failedChecks < CHECKS_OUT && nowAt >= this.#suspendedUntilAt
  }

  checked(passed: boolean): void {
    this.#failedChecks = passed ? 0 : this.#failedChecks + 1
    if (passed) this.#suspendedUntilAt = 0
  }

  refused(nowAt: number): void {
    this.#suspendedUntilAt = nowAt + SUSPENDED_MS
  }

  /** A request got through, which says more than any suspension. */
  worked(): void {
    this.#suspendedUntilAt = 0
  }
}

export interface CheckOptions {
  url: URL
  path: string
  intervalMs: number
}

/**
 * Asks a URL's health endpoint for ever, at the interval give or take a tenth, so that many gateways do not ask in step.
 * It has a connection of its own: a full pool is busy, not sick. Ends when the signal aborts.
 */
export async function checkForEver(
  options: CheckOptions,
  deps: { clock: Clock; random: () => number; signal: AbortSignal; onResult: (passed: boolean) => void },
): Promise<void> {
  const pool = new Pool(options.url.origin, { connections: 1, allowH2: false })
  const path = options.url.pathname.replace(/\/$/, '') + options.path
  try {
    for (;;) {
      await deps.clock.sleep(options.intervalMs * (0.9 + 0.2 * deps.random()), deps.signal)
      const passed = await check(pool, path, options.intervalMs)
      if (deps.signal.aborted) return
      deps.onResult(passed)
    }
  } catch {
    // the signal: sleep is the only thing here that throws
  } finally {
    await pool.destroy()
  }
}

/** Redirects count as healthy: many a service answers its health path with one. */
async function check(pool: Pool, path: string, intervalMs: number): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(Math.min(CHECK_TIMEOUT_MS, Math.max(intervalMs, 100)))
    const { statusCode, body } = await pool.request({ method: 'GET', path, signal })
    await body.dump()
    return statusCode < 400
  } catch {
    return false
  }
}
