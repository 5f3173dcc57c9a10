/**
 * Secrets as they are stored: encrypted by a key that is not in the store (TURNOUT_SECRET_KEY), where there is one. AES-256-GCM, each with a
 * nonce of its own, and bound to its name, so that one cannot be put in the place of another.
 *
 *   sealed:1:<base64url of nonce (12 bytes), tag (16), text>
 *
 * Several keys may be given: the first seals, every one opens. So a key is replaced by giving the new one before the old, on all instances,
 * and leaving the old one out once each has been started with both. What was stored in the clear before there was a key is sealed at the next start.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { TurnoutError } from '../errors.ts'

const PREFIX = 'sealed:1:'
const CIPHER = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16
/** Characters of a key. */
const KEY_LENGTH_MIN = 32
const VARIABLE = 'TURNOUT_SECRET_KEY'

/** A text as it was stored. */
export interface Opened {
  readonly text: string
  /** It is to be stored anew: it was in the clear, or sealed by a key that is on its way out. */
  readonly isStale: boolean
}

export class Sealing {
  readonly #keys: readonly Buffer[]

  /** `keys` as they are given: parted by commas; undefined or empty for none. Throws `invalid` when one is too short to be a secret. */
  constructor(keys: string | undefined) {
    const texts = (keys ?? '').split(',').filter((key) => key !== '')
    if (texts.some((key) => key.length < KEY_LENGTH_MIN)) {
      const how = 'openssl rand -hex 32 makes one'
      throw new TurnoutError('invalid', `${VARIABLE} needs keys of at least ${KEY_LENGTH_MIN} characters; ${how}.`)
    }
    this.#keys = texts.map((key) => Buffer.from(hkdfSync('sha256', key, '', 'turnout secrets', 32)))
  }

  /** The text as it is to be stored under a name. */
  seal(name: string, text: string): string {
    if (this.#keys.length === 0) return text
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv(CIPHER, this.#keys[0], nonce).setAAD(Buffer.from(name))
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
    return PREFIX + Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64url')
  }

  /** What was stored under a name. Throws `invalid` when it is sealed, and no key opens it. */
  open(name: string, stored: string): Opened {
    if (!stored.startsWith(PREFIX)) return { text: stored, isStale: this.#keys.length > 0 }
    if (this.#keys.length === 0) {
      throw new TurnoutError(
        'invalid',
        `The secrets in the store are encrypted: set ${VARIABLE} to the key that they were encrypted with.`,
      )
    }
    const bytes = Buffer.from(stored.slice(PREFIX.length), 'base64url')
    for (const [at, key] of this.#keys.entries()) {
      const text = opened(key, name, bytes)
      if (text !== null) return { text, isStale: at > 0 }
    }
    throw new TurnoutError('invalid', `${VARIABLE} is not the key that the secrets in the store were encrypted with.`)
  }
}

/** null when it was sealed by another key, for another name, or is damaged. */
function opened(key: Buffer, name: string, bytes: Buffer): string | null {
  const [nonce, rest] = [bytes.subarray(0, NONCE_BYTES), bytes.subarray(NONCE_BYTES)]
  if (rest.length < TAG_BYTES) return null
  const options = { authTagLength: TAG_BYTES }
  const decipher = createDecipheriv(CIPHER, key, nonce, options)
  decipher.setAAD(Buffer.from(name)).setAuthTag(rest.subarray(0, TAG_BYTES))
  try {
    return Buffer.concat([decipher.update(rest.subarray(TAG_BYTES)), decipher.final()]).toString('utf8')
  } catch {
    return null
  }
}
