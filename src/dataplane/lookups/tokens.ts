/**
 * JWTs of requests, verified where the config says by what: a secret, or public keys (JWKS). A token that fails in any way has no
 * claims, so the next source of the visitor key is looked at.
 *
 * Invariants:
 * - The algorithm of a token never chooses the kind of a key: those by HMAC are verified by the secret only, all others by a public key of
 *   their type (and curve), whose own `alg` and `use` must allow it. There is no `none`.
 * - What a token says must be understood (`crit`) is refused. `exp` and `nbf` are looked at each time, `iss` and `aud` where configured.
 * - Synchronous, as `decide` is: a signature costs 10 to 200 µs, so claims of verified tokens are kept, the oldest go first. Whatever is
 *   kept is forgotten with new keys.
 */
import { constants, createHmac, createPublicKey, type KeyObject, timingSafeEqual, verify } from 'node:crypto'
import { isRecord } from '../../config/record.ts'
import { bearerToken, textOfBase64Url } from '../../table/visitor.ts'
import { flat } from '../http1/syntax.ts'

/** A key as JSON has it (RFC 7517). */
type Jwk = Readonly<Record<string, unknown>>

/** By what tokens are verified, beside keys. */
export interface TokenPlan {
  /** null: by public keys. */
  readonly secret: string | null
  readonly issuer: string | null
  readonly audience: string | null
}

/** Tokens whose claims are kept by a thread. */
export const TOKENS_KEPT_MAX = 1_000
/** By how much clocks may differ. */
export const LEEWAY_S = 30
const PARTS = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/

interface Algorithm {
  readonly hash: string | null
  /** Absent: by the secret. */
  readonly type?: string
  readonly curve?: string
  readonly more?: Readonly<Record<string, unknown>>
}

const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
const ECDSA = { dsaEncoding: 'ieee-p1363' }
const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map<string, Algorithm>([
  ...[256, 384, 512].flatMap((bits): [string, Algorithm][] => [
    [`HS${bits}`, { hash: `sha${bits}` }],
    [`RS${bits}`, { hash: `sha${bits}`, type: 'RSA' }],
    [`PS${bits}`, { hash: `sha${bits}`, type: 'RSA', more: PSS }],
  ]),
  ['ES256', { hash: 'sha256', type: 'EC', curve: 'P-256', more: ECDSA }],
  ['ES384', { hash: 'sha384', type: 'EC', curve: 'P-384', more: ECDSA }],
  ['ES512', { hash: 'sha512', type: 'EC', curve: 'P-521', more: ECDSA }],
  ['EdDSA', { hash: null, type: 'OKP', curve: 'Ed25519' }],
  ['Ed25519', { hash: null, type: 'OKP', curve: 'Ed25519' }],
])
const TYPES = new Set([...ALGORITHMS.values()].flatMap(({ type }) => type ?? []))
const RSA_BITS_MIN = 2_048

interface PublicKey {
  readonly key: KeyObject
  readonly jwk: Jwk
}

/** The public keys of a JWKS by which tokens can be verified; others are passed over. */
export function publicKeysOf(jwks: readonly Jwk[]): readonly PublicKey[] {
  return jwks.flatMap((jwk) => {
    const { kty, use, key_ops: operations } = jwk
    if (!TYPES.has(String(kty)) || (use !== undefined && use !== 'sig')) return []
    if (Array.isArray(operations) && !operations.includes('verify')) return []
    try {
      const key = createPublicKey({ key: { ...jwk }, format: 'jwk' })
      const bits = key.asymmetricKeyDetails?.modulusLength ?? RSA_BITS_MIN
      return bits < RSA_BITS_MIN ? [] : [{ key, jwk }]
    } catch {
      return []
    }
  })
}

interface Verified {
  readonly text: string
  readonly fromMs: number
  readonly untilMs: number
}

export class Tokens {
  readonly #plan: TokenPlan
  readonly #verified = new Map<string, Verified>()
  #keys: readonly PublicKey[] = []

  constructor(plan: TokenPlan) {
    this.#plan = plan
  }

  /** Verifies by these keys from now on: the JSON of a JWKS. */
  take(memory: SharedArrayBuffer): void {
    this.#keys = publicKeysOf(JSON.parse(Buffer.from(memory).toString()).keys)
    this.#verified.clear()
  }

  /** The claims of the token of `authorization: Bearer` as text; null when it has none that is believed now. */
  claims(authorization: string | undefined, nowMs: number): string | null {
    const token = bearerToken(authorization)
    if (token === null) return null
    let known = this.#verified.get(token)
    if (known === undefined) {
      const found = this.#verify(token)
      if (found === null) return null
      if (this.#verified.size >= TOKENS_KEPT_MAX) this.#verified.delete(this.#verified.keys().next().value!)
      // A flat copy: what is kept would else be a piece of the request's head, and keep all of that alive.
      this.#verified.set(flat(token), found)
      known = found
    }
    return known.fromMs <= nowMs && nowMs < known.untilMs ? known.text : null
  }

  #verify(token: string): Verified | null {
    const [, head, body, signature] = PARTS.exec(token) ?? []
    if (signature === undefined) return null
    try {
      const header: unknown = JSON.parse(textOfBase64Url(head))
      if (!isRecord(header) || Object.hasOwn(header, 'crit')) return null
      const octets = Buffer.from(token.slice(0, head.length + 1 + body.length), 'latin1')
      if (!this.#isSigned(header, octets, Buffer.from(signature, 'base64url'))) return null
      const text = textOfBase64Url(body)
      return this.#believed(text, JSON.parse(text))
    } catch {
      return null
    }
  }

  #isSigned(header: Readonly<Record<string, unknown>>, octets: Buffer, signature: Buffer): boolean {
    const { alg, kid } = header
    const algorithm = typeof alg === 'string' ? ALGORITHMS.get(alg) : undefined
    if (algorithm === undefined) return false
    const { secret } = this.#plan
    const { hash, type, curve, more } = algorithm
    if (type === undefined || secret !== null) {
      if (type !== undefined || secret === null || hash === null) return false
      const expected = createHmac(hash, secret).update(octets).digest()
      return expected.length === signature.length && timingSafeEqual(expected, signature)
    }
    const usable = this.#keys.filter(({ jwk }) => {
      const { kty, crv, alg: only, kid: name } = jwk
      return (
        kty === type && crv === curve && (only === undefined || only === alg) && (kid === undefined || name === kid)
      )
    })
    // Who has several keys has to say which.
    return usable.length === 1 && verify(hash, octets, { key: usable[0].key, ...more }, signature)
  }

  #believed(text: string, claims: unknown): Verified | null {
    if (!isRecord(claims)) return null
    const { issuer, audience } = this.#plan
    const { iss, aud, exp, nbf } = claims
    if (issuer !== null && iss !== issuer) return null
    if (audience !== null && aud !== audience && !(Array.isArray(aud) && aud.includes(audience))) return null
    const isMoment = (value: unknown) => value === undefined || (typeof value === 'number' && Number.isFinite(value))
    if (!isMoment(exp) || !isMoment(nbf)) return null
    return {
      text,
      fromMs: nbf === undefined ? -Infinity : ((nbf as number) - LEEWAY_S) * 1_000,
      untilMs: exp === undefined ? Infinity : ((exp as number) + LEEWAY_S) * 1_000,
    }
  }
}
