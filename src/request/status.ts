/** Values of Cache-Status behind the cache's name (RFC 9211), as CONTRACT 4 spells them. */
export const cacheStatus = {
  hit: (ttlMs: number): string => `hit; ttl=${seconds(ttlMs)}`,
  stale: (ttlMs: number, detail?: string): string => `hit; fwd=stale; ttl=${seconds(ttlMs)}${suffix(detail)}`,
  /** Went upstream, or waited for someone who did. */
  forwarded: ({ reason, stored, collapsed, detail }: Forwarded): string =>
    `fwd=${reason}${stored ? '; stored' : ''}${collapsed ? '; collapsed' : ''}${suffix(detail)}`,
}

export interface Forwarded {
  reason: 'uri-miss' | 'stale' | 'bypass'
  stored?: boolean
  collapsed?: boolean
  detail?: string | undefined
}

/** Whole seconds, towards minus infinity: an answer never looks fresher than it is. */
const seconds = (ms: number): number => Math.floor(ms / 1_000)
const suffix = (detail: string | undefined): string => (detail ? `; detail=${detail}` : '')
