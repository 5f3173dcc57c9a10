/**
 * Who sends a request: the visitor key.
 *
 * The key is the first found in the order of the service's sources, as octets (octets.ts): somebody is the same by a header and by
 * a JWT. Whoever has the request in view says whether a JWT was verified (claims). The key decides which version somebody sees, never what they may do. Nothing here throws on
 * what a client sends, and all of it takes linear time.
 */
import { own } from '../config/record.ts'
import { octetsOfText } from './octets.ts'
import type { StickyPlan, VisitorSource } from './plan.ts'
import { firstParameter } from './query.ts'
import type { OwnCookie, RequestView, ServiceTable } from './types.ts'

/** Longer keys are not taken: they cost hashing and log space, and no real id is that long. */
export const KEY_LENGTH_MAX = 1_024
/** Longer tokens are not read. */
export const TOKEN_LENGTH_MAX = 8_192

const BEARER = /^bearer +/i

/** The visitor key of a request, or null. `own` is our cookie where it may serve as a key. */
export function visitorKey(view: RequestView, sources: readonly VisitorSource[], own: OwnCookie | null): string | null {
  for (const source of sources) {
    const key = keyFrom(view, source, own)
    if (isKey(key)) return key
  }
  return null
}

/** Where the visitor key of a request was found; null for nowhere. */
export const visitorSource = (
  view: RequestView,
  sources: readonly VisitorSource[],
  own: OwnCookie | null,
): VisitorSource | null => sources.find((source) => isKey(keyFrom(view, source, own))) ?? null

const isKey = (key: string | null | undefined): key is string =>
  key !== null && key !== undefined && key !== '' && key.length <= KEY_LENGTH_MAX

/** Whether our cookie keeps a visitor anywhere. */
export function keepsAnything(sticky: StickyPlan | null): boolean {
  return sticky !== null && (sticky.pool || sticky.target)
}

/**
 * Whether a request without a key is given an id. Browsers keep cookies, so they are; scripts do not, and an id a request
 * would be chance, not a visitor.
 */
export function mayGiveId(service: ServiceTable, view: RequestView): boolean {
  if (!keepsAnything(service.sticky)) return false
  for (const source of service.visitor) if (source.from === 'own') return isBrowser(view)
  return false
}

function isBrowser(view: RequestView): boolean {
  if (view.header('sec-fetch-mode') !== undefined || view.header('sec-fetch-site') !== undefined) return true
  if (view.header('sec-fetch-dest') !== undefined) return true
  if (view.header('accept')?.includes('text/html')) return true
  return view.header('user-agent')?.startsWith('Mozilla/') === true
}

function keyFrom(view: RequestView, source: VisitorSource, own: OwnCookie | null): string | null | undefined {
  switch (source.from) {
    case 'header':
      return view.header(source.name)
    case 'cookie':
      return view.cookie(source.name)
    case 'jwt':
      return claimIn(view.claims(), source.claim)
    case 'query':
      return firstParameter(view.query, source.name)
    case 'own':
      return own === null ? null : own.visitor
    case 'address':
      return view.address
  }
}

/** The token of `authorization: Bearer`; null when there is none, or one that is too long to be read. */
export function bearerToken(authorization: string | undefined): string | null {
  if (authorization === undefined || authorization.length > TOKEN_LENGTH_MAX) return null
  const scheme = BEARER.exec(authorization)
  return scheme === null ? null : authorization.slice(scheme[0].length)
}

/** The claims of a JWT as text, not verified; null when there are none. */
export function claimsText(token: string | null): string | null {
  const start = token === null ? 0 : token.indexOf('.') + 1
  const end = token === null || start === 0 ? -1 : token.indexOf('.', start)
  if (token === null || end === -1) return null
  try {
    return textOfBase64Url(token.slice(start, end))
  } catch {
    return null
  }
}

/** The octets of a claim (text or number) in the text of all of them; null when there is none. */
export function claimIn(text: string | null, claim: string): string | null {
  if (text === null) return null
  try {
    const value = claimOf(JSON.parse(text), claim)
    if (typeof value === 'string') return octetsOfText(value)
    if (typeof value !== 'number') return null
    return Number.isSafeInteger(value) ? String(value) : digitsOf(text, claim)
  } catch {
    return null
  }
}

function claimOf(claims: unknown, claim: string): unknown {
  return typeof claims === 'object' && claims !== null ? own(claims as Record<string, unknown>, claim) : undefined
}

/** A number that JavaScript does not hold exactly, as it stands in the text: or many a 64-bit id would be the same visitor. */
function digitsOf(text: string, claim: string): string | null {
  type Context = { readonly source?: string }
  const asWritten = (_key: string, value: unknown, context?: Context) =>
    typeof value === 'number' ? (context?.source ?? String(value)) : value
  const digits = claimOf(JSON.parse(text, asWritten as (key: string, value: unknown) => unknown), claim)
  return typeof digits === 'string' ? digits : null
}

/** Throws when it is none. */
export function textOfBase64Url(encoded: string): string {
  const binary = atob(encoded.replaceAll('-', '+').replaceAll('_', '/'))
  return new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(binary, (unit) => unit.charCodeAt(0)))
}
