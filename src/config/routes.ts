/** `routes`: what happens to which request. The first match wins; what matches nothing is proxied. */
import { z } from 'zod'
import { JOB_CLASSES, Submit } from './submit.ts'
import { isPathPattern, parseBypass, parseTag } from './terms.ts'
import { checked, dottedPath, duration, headerName, name, oneOrMore, ratio, size } from './values.ts'

/** Methods whose answers may be cached; a route that keeps answers and names no method matches these. */
export const CACHEABLE_METHODS = ['GET', 'HEAD', 'POST'] as const

const METHODS = [
  ...CACHEABLE_METHODS,
  ...(['PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'QUERY', 'SEARCH', 'REPORT'] as const),
  ...(['PROPFIND', 'PROPPATCH', 'MKCOL', 'COPY', 'MOVE', 'LOCK', 'UNLOCK', 'PURGE'] as const),
] as const

const Match = z.strictObject({
  method: oneOrMore(z.enum(METHODS))
    .optional()
    .describe('Unset: every method; where answers are cached GET, HEAD and POST, for no other answer may be stored.'),
  path: checked('a path such as /api/query, /api/:id or /api/*', isPathPattern).describe(
    'The path without its query. `:name` stands for one segment; a last `*` for the rest.',
  ),
})

const EarlyRefresh = z.strictObject({
  beta: z
    .number()
    .min(0)
    .max(100)
    .prefault(1)
    .describe('XFetch: above 1 refreshes earlier, below 1 later; 0 never before the ttl is over.'),
  max: ratio().prefault(0.2).describe('Never earlier than this share of the ttl before its end.'),
})

const CachePolicy = z.strictObject({
  identity: z
    .enum(['principal', 'scope', 'tenant', 'shared'])
    .prefault('principal')
    .describe(
      'Who may share an answer. principal: tenant, principal and scope claims; scope: tenant and scope claims; ' +
        'tenant: the tenant; shared: everybody.',
    ),
  sharedDespiteTenantHeader: z
    .boolean()
    .prefault(false)
    .describe(
      'Says `identity: shared` a second time, which is demanded where the upstream can tell tenants apart ' +
        '(it gets the tenant header or the caller’s credential) and might therefore answer them differently.',
    ),
  body: z
    .enum(['json', 'raw', 'none'])
    .prefault('json')
    .describe('How the request body enters the key: as canonical JSON, byte by byte, or not at all.'),
  ignoreBody: z.array(dottedPath()).max(256).prefault([]).describe('Paths of a JSON body left out of the key.'),
  ignoreQuery: z.array(z.string().min(1)).max(256).prefault([]).describe('Query parameters left out of the key.'),
  varyHeaders: z
    .array(headerName())
    .max(64)
    .prefault([])
    .describe('Request headers that change the answer: they enter the key and go upstream.'),
  ttl: duration('0s', '7d').prefault('5m').describe('How long an answer is fresh.'),
  jitter: ratio()
    .prefault(0.1)
    .describe("Each entry's ttl is drawn from ttl·[1−j, 1+j], so that what was filled together does not end together."),
  earlyRefresh: EarlyRefresh.prefault({}).describe('Refreshing before the end, by one request in the fleet.'),
  staleWhileRevalidate: duration('0s', '7d')
    .prefault('1m')
    .describe('How long past its ttl an answer is still served while it is refreshed (RFC 5861).'),
  staleIfError: duration('0s', '7d')
    .prefault('10m')
    .describe('How long past its ttl an answer is still served when the upstream fails (RFC 5861).'),
  maxEntrySize: size('1KiB', '256MiB').prefault('8MiB').describe('Larger answers stream through and are not stored.'),
  bypass: z
    .array(checked('body:PATH=VALUE, query:NAME=VALUE or header:NAME=VALUE', (text) => !!parseBypass(text)))
    .max(64)
    .prefault([])
    .describe('Requests with one of these do not read the cache, but still fill it.'),
  tags: z
    .array(checked('text with {body.a.b}, {query.x} or {header.x} in it, without blanks', (text) => !!parseTag(text)))
    .max(32)
    .prefault([])
    .describe('Names under which answers can be purged together.'),
})

const common = {
  name: name().describe('What logs, metrics and `explain` call it; unique.'),
  match: Match.describe('Which requests it is for.'),
  auth: z
    .enum(['required', 'optional', 'none'])
    .optional()
    .describe(
      'required: 401 without a token; optional: a token that is there is verified; none: tokens are not looked at. ' +
        'Unset: as `auth.required` says.',
    ),
}

const forwarded = {
  upstream: z.string().optional().describe('Which upstream answers. Unset: the only one there is.'),
  idempotent: z.boolean().prefault(false).describe('It may be sent again after a failure of which nothing is known.'),
}

const worked = {
  ...forwarded,
  class: z
    .enum(JOB_CLASSES)
    .prefault('default')
    .describe('The order inside a tenant: interactive, default and batch are served 8:3:1.'),
}

const Route = z.discriminatedUnion('mode', [
  z.strictObject({
    ...common,
    mode: z.literal('cache').describe('Answers are kept, and asked for once however many want them.'),
    ...worked,
    cache: CachePolicy.prefault({}).describe('How answers are kept.'),
    submit: Submit.optional().describe(
      'How its jobs are kept; on a cached route those that clients ask for with `Prefer: respond-async`. Unset there: ' +
        'by the defaults, and only where a job has no credential to keep.',
    ),
  }),
  z.strictObject({
    ...common,
    mode: z.literal('queue').describe('Every request becomes a job: accepted at once, run when its turn comes.'),
    ...worked,
    cache: CachePolicy.optional().describe('How answers are kept. On a queue route, unset: they are not.'),
    submit: Submit.prefault({}).describe('How its jobs are kept.'),
  }),
  z.strictObject({ ...common, mode: z.literal('proxy').describe('Passed through as it is.'), ...forwarded }),
  z.strictObject({ ...common, mode: z.literal('deny').describe('Refused with ROUTE_DENIED.') }),
])

export const Routes = z.array(Route).max(1_000)

export type RouteInFile = z.output<typeof Route>
export type CachePolicy = z.output<typeof CachePolicy>
export type Method = (typeof METHODS)[number]
export type RouteAuth = 'required' | 'optional' | 'none'
