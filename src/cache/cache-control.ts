/**
 * One directive: its name in lower case, and its argument without quotes, or null where it has none.
 */
export interface Directive {
  name: string
  argument: string | null
}

/** A token, then perhaps `=` and a token or a quoted string (RFC 9111 5.2). */
const DIRECTIVE = /([^\s,="]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,="]*)))?/g

/**
 * Reads Cache-Control, leniently: what is no directive is skipped. In doubt the stricter reading: blanks part directives as commas
 * do, and a quote that never ends is no quote, so that `private="x, no-store` still says no-store.
 */
export const parseCacheControl = (value: string): Directive[] =>
  Array.from(value.matchAll(DIRECTIVE), (found) => ({ name: found[1]!.toLowerCase(), argument: argumentOf(found) }))

const argumentOf = (found: RegExpMatchArray): string | null => found[2]?.replace(/\\(.)/g, '$1') ?? found[3] ?? null

/** The fields that `private="a, b"` and `no-cache="c"` name: a shared cache keeps the answer without them (RFC 9111 5.2.2). */
export function nominatedFields(directives: readonly Directive[]): string[] {
  return directives
    .filter(({ name, argument }) => (name === 'private' || name === 'no-cache') && argument)
    .flatMap(({ argument }) => argument!.split(','))
    .map((field) => field.trim().toLowerCase())
    .filter((field) => field !== '')
}
