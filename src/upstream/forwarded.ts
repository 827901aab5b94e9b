/**
 * Who the client is, told to the upstream: `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` (RFC 7239).
 * What came in under these names is believed only from a peer in `server.trustedProxies`; from anybody else it is
 * dropped, or a client could choose its own address and the host in every link of the answer.
 */
import { BlockList, isIP } from 'node:net'
import type { FlatHeaders } from '../kernel/exchange.ts'

/** Addresses (`10.0.0.1`, `::1`) and networks (`10.0.0.0/8`) whose forwarding headers are believed. */
export class TrustedProxies {
  readonly #list = new BlockList()

  constructor(entries: readonly string[]) {
    for (const entry of entries) {
      const [address, prefix] = entry.split('/', 2) as [string, string?]
      const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
      if (prefix === undefined) this.#list.addAddress(address, family)
      else this.#list.addSubnet(address, Number(prefix), family)
    }
  }

  has(address: string): boolean {
    const plain = plainAddress(address)
    const version = isIP(plain)
    return version !== 0 && this.#list.check(plain, version === 6 ? 'ipv6' : 'ipv4')
  }
}

export interface Peer {
  /** `socket.remoteAddress` of the connection. */
  address: string
  scheme: 'http' | 'https'
}

export interface ForwardedInput {
  rawHeaders: readonly string[]
  peer: Peer
  trusted: TrustedProxies
}

/** A v4 client on a dual-stack socket is shown as `::ffff:1.2.3.4`; everybody else knows it by its v4 address. */
const plainAddress = (address: string): string => (address.startsWith('::ffff:') ? address.slice(7) : address)

/** The forwarding headers to send, and nothing else of that family. */
export function forwardedHeaders({ rawHeaders, peer, trusted }: ForwardedInput): FlatHeaders {
  const address = plainAddress(peer.address)
  const believed = trusted.has(address)
  const said = (name: string) => (believed ? joined(rawHeaders, name) : '')

  const proto = firstOf(said('x-forwarded-proto')).toLowerCase()
  const scheme = proto === 'http' || proto === 'https' ? proto : peer.scheme
  const host = firstOf(said('x-forwarded-host')) || joined(rawHeaders, 'host')
  const port = firstOf(said('x-forwarded-port'))

  const headers: FlatHeaders = [
    'x-forwarded-for',
    appended(said('x-forwarded-for'), address),
    'x-forwarded-proto',
    scheme,
    'forwarded',
    appended(said('forwarded'), element(address, peer.scheme, joined(rawHeaders, 'host'))),
  ]
  if (host) headers.push('x-forwarded-host', host)
  if (/^\d{1,5}$/.test(port)) headers.push('x-forwarded-port', port)
  return headers
}

/** The nearest address on the way back that is not one of our own proxies: who the client is, for logs and limits. */
export function clientAddress({ rawHeaders, peer, trusted }: ForwardedInput): string {
  const chain = joined(rawHeaders, 'x-forwarded-for').split(',').reverse()
  let address = plainAddress(peer.address)
  for (const hop of chain) {
    if (!trusted.has(address) || isIP(plainAddress(hop.trim())) === 0) break
    address = plainAddress(hop.trim())
  }
  return address
}

function element(address: string, scheme: string, host: string): string {
  const node = isIP(address) === 6 ? `"[${address}]"` : address
  const named = host ? `;host="${host.replaceAll(/["\\]/g, '')}"` : ''
  return `for=${node || 'unknown'};proto=${scheme}${named}`
}

const appended = (list: string, item: string): string => (list ? `${list}, ${item}` : item)

const firstOf = (list: string): string => list.split(',', 1)[0]!.trim()

function joined(rawHeaders: readonly string[], lowerName: string): string {
  let value = ''
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (name.length === lowerName.length && name.toLowerCase() === lowerName)
      value = appended(value, rawHeaders[i + 1]!)
  }
  return value
}
