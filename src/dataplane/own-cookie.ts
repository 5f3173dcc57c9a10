/**
 * Our own cookie on the wire: `payload.mac`, where mac is HMAC-SHA256 over name and payload, cut to 128 bits, base64url.
 *
 * The first key signs and every key verifies, so keys can be rotated; the comparison takes constant time. Verifying costs
 * microseconds, so each worker remembers what it verified, in a map that is emptied when full: a memo, never an authority.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { OwnCookie } from '../table/types.ts'
import { decodeOwnCookie, encodeOwnCookie } from '../table/visitor.ts'

const MEMO_MAX = 16_384
const VALUE_LENGTH_MAX = 512

export class CookieSigner {
  readonly #keys: readonly string[]
  #memo = new Map<string, OwnCookie>()

  /** `keys` must not be empty. */
  constructor(keys: readonly string[]) {
    if (keys.length === 0) throw new Error('a cookie signer needs a key')
    this.#keys = keys
  }

  /** The value to set for a cookie. */
  sign(name: string, own: OwnCookie): string {
    const payload = encodeOwnCookie(own)
    return payload + '.' + this.#mac(this.#keys[0], name, payload).toString('base64url')
  }

  /** The content of a cookie that we signed, or null for anything else. */
  verify(name: string, value: string): OwnCookie | null {
    const memoKey = name + '=' + value
    const known = this.#memo.get(memoKey)
    if (known !== undefined) return known
    if (value.length > VALUE_LENGTH_MAX) return null
    const dot = value.lastIndexOf('.')
    if (dot < 1 || value.length - dot - 1 !== 22) return null
    const payload = value.slice(0, dot)
    const given = Buffer.from(value.slice(dot + 1), 'base64url')
    if (given.length !== 16) return null
    for (const key of this.#keys) {
      if (!timingSafeEqual(this.#mac(key, name, payload), given)) continue
      const own = decodeOwnCookie(payload)
      if (own !== null) {
        if (this.#memo.size >= MEMO_MAX) this.#memo = new Map()
        this.#memo.set(memoKey, own)
      }
      return own
    }
    return null
  }

  #mac(key: string, name: string, payload: string): Buffer {
    return createHmac('sha256', key)
      .update(name + '=' + payload)
      .digest()
      .subarray(0, 16)
  }
}
