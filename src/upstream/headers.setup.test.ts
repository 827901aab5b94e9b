import { TrustedProxies } from './forwarded.ts'
import { type HeaderPolicy, HeaderRules, type Mode, upstreamHeaders } from './headers.ts'

export const POLICY: HeaderPolicy = {
  trustedHeaders: { tenant: 'X-Tenant-Id', principal: 'X-Principal-Id' },
  credentials: 'forward',
  credentialHeaders: ['X-GuestToken'],
  credentialCookies: ['access_token'],
}
const NOBODY = new TrustedProxies([])

export interface Setup extends Partial<HeaderPolicy> {
  mode?: Mode
  caller?: { tenant: string; principal: string | null } | null
  peer?: string
  trusted?: TrustedProxies
}

/** Sends these headers and answers what goes upstream, as [name, value] pairs. */
export function sent(
  rawHeaders: string[],
  { mode = 'proxy', caller = null, peer = '192.0.2.1', trusted, ...policy }: Setup = {},
) {
  const flat = upstreamHeaders({
    rawHeaders,
    mode,
    rules: new HeaderRules({ ...POLICY, ...policy }),
    caller,
    requestId: 'req-1',
    peer: { address: peer, scheme: 'http' },
    trustedProxies: trusted ?? NOBODY,
  })
  const all: [string, string][] = []
  for (let i = 0; i < flat.length; i += 2) all.push([flat[i]!, flat[i + 1]!])
  const values = (name: string) => all.filter(([n]) => n.toLowerCase() === name).map(([, value]) => value)
  return { all, values }
}

export const acme = { tenant: 'acme', principal: 'ann' }
