/** jose, as this room uses it: the one place where signatures are verified. */
import { errors, type JWTPayload, type JWTVerifyGetKey, type JWTVerifyOptions, jwtVerify } from 'jose'

export interface Check {
  readonly algorithms: readonly string[]
  readonly issuer: string | undefined
  readonly audience: string | readonly string[] | undefined
  readonly clockToleranceMs: number
  readonly nowAt: number
}

/** `signature`: not verified, whatever the reason. The others were signed, and are refused for what they say. */
export type Fault = 'signature' | 'expired' | 'early' | { readonly claim: string }

export type Outcome = { readonly payload: JWTPayload } | { readonly fault: Fault }

/** Keys of one set that may fit a token without `kid`. More of them is a mistake of the issuer's. */
const MAX_KEYS_TRIED = 8

export async function checkSignature(token: string, find: JWTVerifyGetKey, check: Check): Promise<Outcome> {
  const options = joseOptions(check)
  try {
    return { payload: (await jwtVerify(token, find, options)).payload }
  } catch (error) {
    if (error instanceof errors.JWKSMultipleMatchingKeys) return checkByEach(error, token, options)
    return { fault: faultOf(error) }
  }
}

async function checkByEach(
  keys: errors.JWKSMultipleMatchingKeys,
  token: string,
  options: JWTVerifyOptions,
): Promise<Outcome> {
  let tried = 0
  for await (const key of keys) {
    if (++tried > MAX_KEYS_TRIED) break
    try {
      return { payload: (await jwtVerify(token, key, options)).payload }
    } catch (error) {
      const fault = faultOf(error)
      if (fault !== 'signature') return { fault } // this was the key
    }
  }
  return { fault: 'signature' }
}

/** Fails closed: nothing but jose ran, so an error that is not about a claim came before the signature held. */
function faultOf(error: unknown): Fault {
  if (error instanceof errors.JWTExpired) return 'expired'
  if (!(error instanceof errors.JWTClaimValidationFailed)) return 'signature'
  return error.claim === 'nbf' && error.reason === 'check_failed' ? 'early' : { claim: error.claim }
}

function joseOptions({ algorithms, issuer, audience, clockToleranceMs, nowAt }: Check): JWTVerifyOptions {
  return {
    algorithms: [...algorithms],
    currentDate: new Date(nowAt),
    // jose counts whole seconds, so it is given one more; `untimely` then draws the line to the millisecond.
    clockTolerance: clockToleranceMs / 1000 + 1,
    ...(issuer !== undefined && { issuer }),
    ...(audience !== undefined && { audience: typeof audience === 'string' ? audience : [...audience] }),
  }
}
