/** An instant in ms since the epoch as ISO 8601 in UTC, as documents have it. */
export const iso = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString())
