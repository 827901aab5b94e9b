/**
 * The leaves of the config: what one value may be. A leaf carries, beside its check, what people are told of it:
 * `x-unit` and `x-range` (durations, sizes), `x-form` (texts of a form), `x-secret` (masked by `config show`).
 */
import { isIP } from 'node:net'
import { z } from 'zod'
import { parseDurationMs, parseSizeBytes } from '../kernel/units.ts'

const DURATION_PATTERN = '^\\d+(\\.\\d+)?\\s*(ms|s|m|h|d)$'
const SIZE_PATTERN = '^\\d+(\\.\\d+)?\\s*(B|KiB|MiB|GiB)$'

/** '5m' in the file, milliseconds after parsing. The bounds are written as the file writes them. */
export const duration = (min: string, max: string) =>
  measured({ unit: 'duration', parse: parseDurationMs, pattern: DURATION_PATTERN, min, max })

/** '8MiB' in the file, bytes after parsing. */
export const size = (min: string, max: string) =>
  measured({ unit: 'size', parse: parseSizeBytes, pattern: SIZE_PATTERN, min, max })

interface Measure {
  unit: 'duration' | 'size'
  parse: (text: string) => number | undefined
  pattern: string
  min: string
  max: string
}

function measured({ unit, parse, pattern, min, max }: Measure) {
  const least = parse(min)!
  const most = parse(max)!
  return z
    .string()
    .transform((text, ctx) => {
      const value = parse(text)
      const wrong = value === undefined ? `is not a ${unit}` : outside(value, least, most)
      if (wrong) ctx.addIssue({ code: 'custom', message: wrong })
      return value ?? 0
    })
    .meta({ pattern, 'x-unit': unit, 'x-range': `${min} to ${max}` })
}

const outside = (value: number, least: number, most: number) =>
  value < least ? 'is too small' : value > most ? 'is too large' : undefined

export const count = (min: number, max: number) => z.int().min(min).max(max)

/** A share of a whole. */
export const ratio = () => z.number().min(0).max(1)

/** A text of a form that a regular expression tells; editors see the pattern too. */
export const patterned = (pattern: RegExp, form: string) => z.string().regex(pattern).meta({ 'x-form': form })

/** A text of a form that takes code to tell. */
export const checked = (form: string, test: (text: string) => boolean) =>
  z.string().refine(test, 'does not have the right form').meta({ 'x-form': form })

export const secret = () => z.string().meta({ 'x-secret': 'whole' })

/** A secret that things are sealed with; as long as the key made of it, or longer. */
export const sealingSecret = () => secret().min(32).meta({ 'x-form': 'a secret text of at least 32 characters' })

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/
export const name = () => patterned(NAME, 'a name of 1 to 63 characters out of a-z 0-9 _ -, not starting with _ or -')

export const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/
export const headerName = () => patterned(HEADER_NAME, 'a header name')

export const host = () => patterned(/^[^\s/@]+$/, 'an IP address or a host name')
export const port = () => count(0, 65_535)

export const hostPort = () =>
  checked('host:port, an IPv6 address in brackets', (text) => {
    const found = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:/@[\]]+):(\d{1,5})$/.exec(text)
    return found !== null && Number(found[1]) >= 1 && Number(found[1]) <= 65_535
  })

export const network = () => checked('an IP address or a CIDR block such as 10.0.0.0/8', isNetwork)

function isNetwork(text: string): boolean {
  const [address, bits, ...more] = text.split('/')
  const family = isIP(address!)
  if (!family || more.length) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
}

/** Where queries go: no credentials (logs show URLs), no query (each request brings its own). */
export const upstreamUrl = () =>
  checked('an http or https URL, with a base path at most; no user, query or fragment', (text) => {
    const url = asUrl(text, ['http:', 'https:'])
    return url !== undefined && !url.username && !url.password && !/[?#]/.test(text)
  })

export const webUrl = () => checked('an http or https URL', (text) => !!asUrl(text, ['http:', 'https:']))

export const redisUrl = () =>
  checked('a redis:// or rediss:// URL', (text) => !!asUrl(text, ['redis:', 'rediss:'])).meta({
    'x-secret': 'password',
  })

function asUrl(text: string, protocols: readonly string[]): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url && protocols.includes(url.protocol) && url.hostname ? url : undefined
}

export const origin = () =>
  checked('an origin such as https://bi.example, or *', (text) => {
    return text === '*' || asUrl(text, ['http:', 'https:'])?.origin === text
  })

/** A dotted path into JSON: `datasource.id`, `filters.0.column`. */
export const DOTTED_PATH = /^[^\s.{}=]+(?:\.[^\s.{}=]+)*$/
export const dottedPath = () => patterned(DOTTED_PATH, 'a dotted path such as datasource.id')
/** Claims are often URLs in themselves (https://idp.example/roles), so any text without blanks is a path to one. */
export const claimPath = () => patterned(/^\S+$/, 'a claim name or a dotted path to one')

/** One or several in the file, a list after parsing. */
export const oneOrMore = <T extends z.ZodType>(item: T, most = 256) =>
  z
    .union([item, z.array(item).min(1).max(most)])
    .transform((given) => (Array.isArray(given) ? given : [given]) as z.output<T>[])
