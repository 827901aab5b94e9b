/**
 * What the fleet's one channel carries. Texts are short and of one line; keys are base64url, so ' ' never occurs in them.
 * Scripts publish `filled` themselves (cache/scripts/fill.lua), in this same form.
 */
export type News =
  /** An entry for `key` is in the far tier. `token` is its leader's, so that the leader's own near tier keeps it. */
  | { kind: 'filled'; key: string; token: string }
  /** The flight of `key` ended without an entry: followers must look for themselves. */
  | { kind: 'landed'; key: string; how: 'open' | 'failed' }
  | { kind: 'purged'; what: Purge }

/** What to purge; exactly one of the forms. Tags without a tenant are everybody's: one call after a load of a dataset. */
export type Purge =
  | { all: true }
  | { tenant: string }
  | { tenant?: string; tags: readonly string[] }
  | { tenant?: string; key: string }

export function encodeNews(news: News): string {
  if (news.kind === 'filled') return `filled ${news.key} ${news.token}`
  if (news.kind === 'landed') return `landed ${news.key} ${news.how}`
  return `purged ${JSON.stringify(news.what)}`
}

/** Undefined for anything this version does not know, so that versions can share a channel during a rolling update. */
export function decodeNews(message: string): News | undefined {
  const [kind, key, rest] = message.split(' ', 3)
  if (kind === 'filled' && key && rest) return { kind, key, token: rest }
  if (kind === 'landed' && key && (rest === 'open' || rest === 'failed')) return { kind, key, how: rest }
  if (kind !== 'purged') return undefined
  try {
    return { kind, what: JSON.parse(message.slice('purged '.length)) as Purge }
  } catch {
    return undefined
  }
}
