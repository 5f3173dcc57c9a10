/**
 * Our own cookie on the wire: `payload.mac`, where mac is the first 22 base64url digits (132 bits) of an HMAC-SHA256 over name
 * and payload.
 *
 * The first key signs and every key verifies, so keys can be rotated; the comparison takes constant time. Verifying costs
 * microseconds, so each worker remembers what it verified, in a map that is emptied when full: a memo, never an authority.
 */
import { createHash, hash, timingSafeEqual } from 'node:crypto'
import { decodeOwnCookie, encodeOwnCookie, layerOf } from '../table/cookie-record.ts'
import type { StickyPlan } from '../table/plan.ts'
import type { OwnCookie } from '../table/types.ts'
import { flat } from './http1/syntax.ts'

const MEMO_MAX = 16_384
const VALUE_LENGTH_MAX = 512
const MAC_LENGTH = 22
const BLOCK_BYTES = 64

/** What a value was found to say, and the name that it was signed with. */
interface Verified {
  readonly name: string
  readonly own: OwnCookie
}

export class CookieSigner {
  readonly #macs: readonly Mac[]
  /** By value, which is that of one name only: the name is signed with it. */
  readonly #memo = new Map<string, Verified>()
  readonly #names = new WeakMap<StickyPlan, string>()
  /** The last that was asked for, since it is asked for over and over. */
  #sticky: StickyPlan | null = null
  #nameApart = ''
  readonly #layer: string

  /** `keys` must not be empty; `layer` is the id of this deployment. */
  constructor(keys: readonly string[], layer: string) {
    if (keys.length === 0) throw new Error('a cookie signer needs a key')
    this.#macs = keys.map((key) => new Mac(key))
    this.#layer = layer
  }

  /** The value to set for a cookie. */
  sign(name: string, own: OwnCookie): string {
    const payload = encodeOwnCookie(own, this.#layer)
    return payload + '.' + this.#macs[0].of(name + '=' + payload)
  }

  /** The name of the cookie of a service where the name that the config gives it is taken. */
  nameApart(sticky: StickyPlan, service: string): string {
    if (sticky === this.#sticky) return this.#nameApart
    let name = this.#names.get(sticky)
    if (name === undefined) {
      name = flat(sticky.cookie + '-' + service + '-' + this.#layer)
      this.#names.set(sticky, name)
    }
    this.#sticky = sticky
    this.#nameApart = name
    return name
  }

  /** Whether a value is of the cookie of another deployment, as far as it says. */
  isForeign(value: string): boolean {
    const dot = value.lastIndexOf('.')
    if (value.length > VALUE_LENGTH_MAX || dot < 1 || value.length - dot - 1 !== MAC_LENGTH) return false
    const layer = layerOf(value.slice(0, dot))
    return layer !== null && layer !== this.#layer
  }

  /** The content of a cookie that we signed, or null for anything else. */
  verify(name: string, value: string): OwnCookie | null {
    const known = this.#memo.get(value)
    if (known !== undefined) return known.name === name ? known.own : null
    if (value.length > VALUE_LENGTH_MAX) return null
    const dot = value.lastIndexOf('.')
    if (dot < 1 || value.length - dot - 1 !== MAC_LENGTH) return null
    const payload = value.slice(0, dot)
    const given = Buffer.from(value.slice(dot + 1), 'latin1')
    for (const mac of this.#macs) {
      if (!timingSafeEqual(Buffer.from(mac.of(name + '=' + payload), 'latin1'), given)) continue
      // A flat copy: what is remembered would else be pieces of the request's head, and keep that alive.
      const copy = flat(value)
      const own = decodeOwnCookie(copy.slice(0, dot))
      if (own !== null) this.#remember(copy, { name: flat(name), own })
      return own
    }
    return null
  }

  #remember(value: string, verified: Verified): void {
    if (this.#memo.size >= MEMO_MAX) this.#memo.clear()
    this.#memo.set(value, verified)
  }
}

/**
 * HMAC-SHA256 of RFC 2104 from two plain hashes. Node's `createHmac` makes an object for each, which the garbage collector
 * has to see off: three times the cost, and every new visitor pays it.
 */
export class Mac {
  /** The key, padded and masked, with room for a text behind it. */
  #inner: Buffer
  readonly #outer = Buffer.alloc(BLOCK_BYTES + 32)

  constructor(key: string) {
    this.#inner = Buffer.alloc(1_024)
    const bytes = Buffer.from(key)
    const block = Buffer.alloc(BLOCK_BYTES)
    block.set(bytes.length > BLOCK_BYTES ? createHash('sha256').update(bytes).digest() : bytes)
    for (let at = 0; at < BLOCK_BYTES; at++) {
      this.#inner[at] = block[at] ^ 0x36
      this.#outer[at] = block[at] ^ 0x5c
    }
  }

  /** The first digits of the HMAC of a text (as UTF-8). */
  of(text: string): string {
    const room = BLOCK_BYTES + 3 * text.length
    if (room > this.#inner.length) this.#inner = Buffer.concat([this.#inner], room)
    const end = BLOCK_BYTES + this.#inner.write(text, BLOCK_BYTES)
    this.#outer.latin1Write(hash('sha256', this.#inner.subarray(0, end), 'latin1'), BLOCK_BYTES)
    return hash('sha256', this.#outer, 'base64url').slice(0, MAC_LENGTH)
  }
}
