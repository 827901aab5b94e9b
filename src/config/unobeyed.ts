/** Settings of the contract that no code of this version obeys: refused like a misspelt one, but told apart from it. */

/** Section (`*` for any name or place in a list) → keys. */
const UNOBEYED: Record<string, readonly string[]> = {
  '': ['presets', 'cost'],
  'auth.issuers.*': ['kind', 'introspect'],
  'routes.*.cache': ['honourOrigin'],
  'tenants.default': ['budget'],
  'tenants.plans.*': ['budget'],
  'tenants.list.*': ['budget'],
  telemetry: ['tracing'],
}

/** Keys that exist, but in another variant of their section. */
const ELSEWHERE: Record<string, string> = {
  'routes.*.cache': 'only a route with mode: cache or queue has it',
  'routes.*.class': 'only a route with mode: cache or queue has it',
  'routes.*.submit': 'only a route with mode: cache or queue has it',
  'routes.*.upstream': 'a route with mode: deny has no upstream',
  'routes.*.idempotent': 'a route with mode: deny sends nothing',
  'store.url': 'only kind: redis has it',
  'store.cluster': 'only kind: redis has it',
  'store.sentinel': 'only kind: redis has it',
  'store.keyPrefix': 'only kind: redis has it',
  'store.commandTimeout': 'only kind: redis has it',
  'store.lock': 'only kind: redis has it',
  'store.synchronous': 'only kind: embedded has it; Redis has its own appendfsync',
  'store.maxBytes': 'only kind: embedded has it; Redis has its own maxmemory',
}

const NOT_YET = 'is not obeyed by this version: it has no code for it yet'

/** Why a key is refused that is not simply unknown; undefined when it is. */
export function whyRefused(section: readonly PropertyKey[], key: string): string | undefined {
  const at = section.map(String)
  for (const [pattern, keys] of Object.entries(UNOBEYED)) {
    if (keys.includes(key) && matches(pattern, at)) return NOT_YET
  }
  const elsewhere = Object.entries(ELSEWHERE).find(([pattern]) => matches(pattern, [...at, key]))
  return elsewhere && `does not belong here: ${elsewhere[1]}`
}

function matches(pattern: string, path: readonly string[]): boolean {
  const segments = pattern === '' ? [] : pattern.split('.')
  return segments.length === path.length && segments.every((segment, at) => segment === '*' || segment === path[at])
}
