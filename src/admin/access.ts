import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { sha256 } from '../kernel/digest.ts'
import { Refusal } from '../kernel/errors.ts'

export interface AdminAuth {
  /** Empty: none is asked for, which the config allows on a loopback address alone. */
  token: string
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/

/**
 * Throws TOKEN_MISSING or TOKEN_INVALID. Without a token only a loopback Host is served and no page of another origin,
 * so that neither DNS rebinding nor a form on a foreign page reaches the API.
 */
export function checkAccess(req: IncomingMessage, { token }: AdminAuth): void {
  if (token === '') checkLocal(req)
  else checkToken(req, token)
}

function checkToken(req: IncomingMessage, token: string): void {
  const given = /^Bearer +(.+)$/i.exec(req.headers.authorization ?? '')?.[1]
  if (given === undefined)
    throw new Refusal('TOKEN_MISSING', { detail: 'the admin API wants Authorization: Bearer TOKEN' })
  // Digests have one length, so the comparison says nothing about the token's.
  if (!timingSafeEqual(Buffer.from(sha256(given)), Buffer.from(sha256(token)))) throw new Refusal('TOKEN_INVALID')
}

function checkLocal({ headers }: IncomingMessage): void {
  if (!LOOPBACK.test(headers.host ?? '')) {
    throw new Refusal('TOKEN_MISSING', { detail: 'without admin.token only a loopback Host is served' })
  }
  if (headers.origin !== undefined && headers.origin !== `http://${headers.host}`) {
    throw new Refusal('TOKEN_MISSING', { detail: 'without admin.token no page of another origin is served' })
  }
}
