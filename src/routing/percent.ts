/**
 * Percent-encoding as RFC 3986 section 6.2.2 normalises it: what was needlessly encoded is decoded, what must stay
 * encoded has upper-case digits, and raw bytes above ASCII (node:http hands them over as Latin-1) are encoded. Reserved
 * characters keep the spelling they came in: `/` and `%2F` may be two things to an upstream.
 */

const NOTHING_TO_DO = /^[ -$&-~]*$/ // ASCII without '%'
const BROKEN = /%(?![0-9A-Fa-f]{2})|[\u0100-\uffff]/
const ENCODED_OR_RAW = /%([0-9A-Fa-f]{2})|[\u0080-\u00ff]/g
const UNRESERVED = /[A-Za-z0-9\-._~]/

/** The normal form, or null where a '%' is not followed by two hex digits or a character is no byte. */
export function normalPercent(text: string): string | null {
  if (NOTHING_TO_DO.test(text)) return text
  if (BROKEN.test(text)) return null
  return text.replace(ENCODED_OR_RAW, (found, hex: string | undefined) => {
    if (hex === undefined) return `%${found.charCodeAt(0).toString(16).toUpperCase()}`
    const character = String.fromCharCode(Number.parseInt(hex, 16))
    return UNRESERVED.test(character) ? character : found.toUpperCase()
  })
}

/** Decodes one layer of everything printable in ASCII, reserved characters too: how a lenient upstream may read it. */
export function decodeAscii(text: string): string {
  return text.replace(/%([2-7][0-9A-Fa-f])/g, (found, hex: string) =>
    hex === '20' || hex.toUpperCase() === '7F' ? found : String.fromCharCode(Number.parseInt(hex, 16)),
  )
}
