/**
 * Every value that a Cookie header gives this name, in order. Names are matched exactly and values are taken as they
 * stand (RFC 6265 section 5.4), but for the quotes that some clients put around them.
 */
export function cookieValues(header: string | undefined, name: string): string[] {
  const values: string[] = []
  if (!header?.includes(name)) return values
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=')
    if (equals < 0 || pair.slice(0, equals).trim() !== name) continue
    values.push(unquoted(pair.slice(equals + 1).trim()))
  }
  return values
}

function unquoted(value: string): string {
  return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value
}
