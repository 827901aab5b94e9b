import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto'

/**
 * Small secrets at rest, AES-256-GCM. A sealed one is
 *
 *    0  version, 1 byte
 *    1  id of the key, 4 bytes: which of several keys made it, while they are rotated
 *    5  nonce, 12 random bytes: good for 2^32 secrets under one key (NIST SP 800-38D 8.3)
 *   17  the secret, encrypted
 *    …  tag, 16 bytes, over all of the above and the context
 *
 * The context says what the secret belongs to (a job's id, say), so that one cannot be put in another's place.
 */
const VERSION = 1
const ID_BYTES = 4
const NONCE_AT = 1 + ID_BYTES
const NONCE_BYTES = 12
const SECRET_AT = NONCE_AT + NONCE_BYTES
const TAG_BYTES = 16

/** Shorter texts can be guessed: a key is derived from one, not stretched. */
export const MIN_KEY_LENGTH = 32

interface Key {
  id: Buffer
  secret: KeyObject
}

export class Sealer {
  readonly #first: Key
  readonly #keys: readonly Key[]

  /** The first key seals, all of them open: to rotate, put the new one before the old. */
  constructor(keys: readonly string[]) {
    this.#keys = keys.map(derive)
    const first = this.#keys[0]
    if (!first) throw new RangeError('sealing needs a key')
    this.#first = first
  }

  seal(plain: Buffer, context: string): Buffer {
    const { id, secret } = this.#first
    const nonce = randomBytes(NONCE_BYTES)
    const head = Buffer.concat([Buffer.of(VERSION), id])
    const cipher = createCipheriv('aes-256-gcm', secret, nonce, { authTagLength: TAG_BYTES })
    cipher.setAAD(authenticated(head, context))
    return Buffer.concat([head, nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  }

  /** Null: no key fits, it belongs to another context, or somebody changed it. Which of them is nobody's business. */
  open(sealed: Buffer, context: string): Buffer | null {
    if (sealed.length < SECRET_AT + TAG_BYTES || sealed[0] !== VERSION) return null
    const id = sealed.subarray(1, NONCE_AT)
    for (const key of this.#keys) {
      const plain = key.id.equals(id) ? unseal(sealed, key.secret, context) : null
      if (plain) return plain
    }
    return null
  }
}

function unseal(sealed: Buffer, secret: KeyObject, context: string): Buffer | null {
  const tagAt = sealed.length - TAG_BYTES
  const nonce = sealed.subarray(NONCE_AT, SECRET_AT)
  const decipher = createDecipheriv('aes-256-gcm', secret, nonce, { authTagLength: TAG_BYTES })
  decipher.setAAD(authenticated(sealed.subarray(0, NONCE_AT), context))
  decipher.setAuthTag(sealed.subarray(tagAt))
  const plain = decipher.update(sealed.subarray(SECRET_AT, tagAt))
  try {
    return Buffer.concat([plain, decipher.final()])
  } catch {
    return null
  }
}

const authenticated = (head: Buffer, context: string): Buffer => Buffer.concat([head, Buffer.from(context)])

/** Two derivations, so that the id, which everybody sees, tells nothing of the key (RFC 5869 3.2). */
function derive(text: string): Key {
  if (text.length < MIN_KEY_LENGTH) throw new RangeError(`a sealing key has at least ${MIN_KEY_LENGTH} characters`)
  const bytes = (info: string, length: number) => Buffer.from(hkdfSync('sha256', text, '', info, length))
  return { id: bytes('sluice seal id 1', ID_BYTES), secret: createSecretKey(bytes('sluice seal key 1', 32)) }
}
