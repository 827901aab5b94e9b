/** Which routes take jobs. */
import type { Config, Route } from './schema.ts'

type Upstreams = Pick<Config, 'upstreams'>

/** The upstream wants the caller's own credential, so that a job would have to keep it until it runs. */
export const forwardsCredential = ({ upstream = '' }: Route, { upstreams }: Upstreams): boolean =>
  upstreams[upstream]?.credentials === 'forward'

/**
 * A queue route always does. A cached one does for `Prefer: respond-async` when there is somebody the job belongs to,
 * and no credential to keep or a key to seal it with.
 */
export function takesJobs(route: Route, config: Upstreams): boolean {
  if (route.mode !== 'cache') return route.mode === 'queue'
  const hasKey = (route.submit?.credentialKey ?? []).length > 0
  return route.auth !== 'none' && (hasKey || !forwardsCredential(route, config))
}
