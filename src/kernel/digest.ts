import { hash, randomBytes } from 'node:crypto'

/** SHA-256 as 43 characters of base64url: safe in a Redis key, a header and a log line. */
export const sha256 = (data: string | Uint8Array): string => hash('sha256', data, 'base64url')

/**
 * SHA-256 over parts framed by their byte length, so that no choice of parts collides with another
 * ("a","bc" never equals "ab","c"). Parts are strings or bytes.
 */
export function digestParts(parts: readonly (string | Uint8Array)[]): string {
  const chunks: Uint8Array[] = []
  for (const part of parts) {
    const bytes = typeof part === 'string' ? Buffer.from(part, 'utf8') : part
    const length = Buffer.allocUnsafe(4)
    length.writeUInt32BE(bytes.length)
    chunks.push(length, bytes)
  }
  return sha256(Buffer.concat(chunks))
}

/** 128 random bits as 22 characters of base64url. */
export const randomToken = (): string => randomBytes(16).toString('base64url')
