import type { BreakerName } from './breaker.ts'
import type { Upstream } from './upstream.ts'

/** One upstream as an operator sees it. Instants are ms since the epoch. */
export interface UpstreamView {
  name: string
  breaker: BreakerName
  /** When the breaker lets the next probe go; null unless open. */
  retryAt: number | null
  /** Until when it asked to be left alone; null if it did not. */
  waitUntilAt: number | null
  /** How many more queries may begin there now; null: nothing but its width and its tenants' limits says. */
  room: number | null
  urls: { url: string; healthy: boolean; busy: number }[]
}

/** Where upstreams are looked at and handled: those of this process, or of all that ask them. */
export interface Desk {
  views(): Promise<UpstreamView[]>
  /** A name that there is not is no news. */
  setBreaker(name: string, state: 'open' | 'closed'): Promise<void>
}

export function viewOf(upstream: Upstream): UpstreamView {
  const { allow } = upstream.room()
  const { name, breaker, retryAt, waitUntilAt, urls } = upstream.state()
  return { name, breaker, retryAt, waitUntilAt, room: Number.isFinite(allow) ? allow : null, urls }
}

const BY_HEALTH: readonly BreakerName[] = ['closed', 'half-open', 'open']

/** What several processes see, as one: the worst of the breakers, the sum of what is busy. */
export function combined(seen: readonly UpstreamView[][]): UpstreamView[] {
  return [...Map.groupBy(seen.flat(), ({ name }) => name).values()].map((views) => ({
    name: views[0]!.name,
    breaker: BY_HEALTH[Math.max(...views.map(({ breaker }) => BY_HEALTH.indexOf(breaker)))]!,
    retryAt: least(views.map(({ retryAt }) => retryAt)),
    waitUntilAt: most(views.map(({ waitUntilAt }) => waitUntilAt)),
    room: views.some(({ room }) => room === null) ? null : views.reduce((sum, { room }) => sum + room!, 0),
    urls: [
      ...Map.groupBy(
        views.flatMap(({ urls }) => urls),
        ({ url }) => url,
      ).values(),
    ].map((of) => ({
      url: of[0]!.url,
      healthy: of.every(({ healthy }) => healthy),
      busy: of.reduce((sum, { busy }) => sum + busy, 0),
    })),
  }))
}

const known = (instants: readonly (number | null)[]): number[] => instants.filter((at) => at !== null)
const least = (instants: readonly (number | null)[]) =>
  known(instants).length > 0 ? Math.min(...known(instants)) : null
const most = (instants: readonly (number | null)[]) =>
  known(instants).length > 0 ? Math.max(...known(instants)) : null
