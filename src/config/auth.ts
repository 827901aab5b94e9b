/** `auth`: whose tokens are believed, and what they say about who calls. */
import { z } from 'zod'
import { checked, claimPath, duration, HEADER_NAME, name, oneOrMore, secret, webUrl } from './values.ts'

export const SYMMETRIC = ['HS256', 'HS384', 'HS512'] as const
export const ASYMMETRIC = [
  ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
  ...(['ES256', 'ES384', 'ES512', 'EdDSA'] as const),
] as const

const credential = checked('header:NAME or cookie:NAME', (text) => {
  const found = /^(?:header|cookie):(.+)$/.exec(text)
  return found !== null && HEADER_NAME.test(found[1]!)
})

const fromClaim = z.strictObject({ claim: claimPath().describe('The claim that says it: a name or a dotted path.') })

const fromClaimMapped = fromClaim.extend({
  map: z
    .record(z.string(), name())
    .optional()
    .describe("From the claim's value to the tenant's name. A value that is not in the map names no tenant."),
})

const constantTenant = z.strictObject({
  value: name().describe('The tenant of every token of this issuer.'),
})

const constantPrincipal = z.strictObject({
  value: z.string().min(1).describe('The principal of every token of this issuer.'),
})

const Issuer = z.strictObject({
  name: name().describe('What logs and metrics call it.'),
  algorithms: z
    .array(z.enum([...SYMMETRIC, ...ASYMMETRIC]))
    .min(1)
    .describe('The only algorithms a token may be signed with. `none` is never accepted.'),
  secret: secret()
    .min(1)
    .optional()
    .describe('The shared secret of the HS algorithms; as long as their hash (32, 48, 64 bytes) or longer.'),
  publicKey: z.string().optional().describe('A public key in PEM, for the other algorithms.'),
  publicKeyFile: z
    .string()
    .min(1)
    .optional()
    .describe('A file with such a key. A relative path starts at the directory of this config file.'),
  jwksUri: webUrl()
    .optional()
    .describe('A key set fetched over HTTP: kept, rotated by `kid`, rate-limited, and held through an outage.'),
  issuer: z
    .string()
    .min(1)
    .optional()
    .describe('What `iss` must be. Unset: tokens without a matching issuer are tried.'),
  audience: oneOrMore(z.string().min(1)).optional().describe('What `aud` must hold at least one of.'),
  clockTolerance: duration('0s', '10m').prefault('5s').describe("How far the issuer's clock and ours may disagree."),
  credentials: z
    .array(credential)
    .min(1)
    .prefault(['header:authorization'])
    .describe('Where a token may stand, in order. Two different tokens in one request are an error.'),
  tenant: z.union([fromClaimMapped, constantTenant]).describe('Which tenant a token belongs to.'),
  principal: z
    .union([fromClaim, constantPrincipal])
    .prefault({ claim: 'sub' })
    .describe('Who inside the tenant a token speaks for.'),
  requireClaims: z
    .record(claimPath(), z.union([z.string(), z.number(), z.boolean()]))
    .optional()
    .describe(
      'Claims that must have exactly these values, such as `type: access` where refresh tokens have the same key.',
    ),
  scopeClaims: z
    .array(claimPath())
    .prefault([])
    .describe('Claims that change what rows are seen: hashed into the identity of a cached answer.'),
})

export const Auth = z.strictObject({
  required: z
    .boolean()
    .prefault(true)
    .describe(
      'What a route without `auth` demands. true: required; false: optional, or none when there are no issuers.',
    ),
  issuers: z.array(Issuer).max(64).prefault([]).describe('Who may sign tokens.'),
})

export type Auth = z.output<typeof Auth>
export type Issuer = z.output<typeof Issuer>
