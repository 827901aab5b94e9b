import type { IncomingMessage } from 'node:http'

type Head = Pick<IncomingMessage, 'httpVersionMajor' | 'httpVersionMinor' | 'headers'>

/**
 * What is wrong with a request's version and the fields that hang on it; null when nothing is. node's parser also takes
 * "HTTP/0.9" and "HTTP/2.0" in a request line, and chunks under HTTP/1.0, which another hop would read as no body at
 * all (RFC 9112 section 6.1).
 */
export function protocolFault({ httpVersionMajor: major, httpVersionMinor: minor, headers }: Head): string | null {
  if (major !== 1) return 'Only HTTP/1.0 and HTTP/1.1 are spoken here.'
  if (minor > 0) return headers.host === undefined ? 'Host is missing.' : null
  return headers['transfer-encoding'] === undefined ? null : 'HTTP/1.0 knows no Transfer-Encoding.'
}

/** Whether a body follows the head (RFC 9112 section 6.3). */
export const announcesBody = ({ headers }: Pick<IncomingMessage, 'headers'>): boolean =>
  headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'

/** The one protocol that is switched to. Other wishes (h2c above all) may be ignored: RFC 9110 section 7.8. */
export const asksForWebSocket = ({ headers }: Pick<IncomingMessage, 'headers'>): boolean =>
  headers.upgrade?.trim().toLowerCase() === 'websocket'
