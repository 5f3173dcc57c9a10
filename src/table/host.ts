/**
 * The one form of a host, in the config and on the wire: lower-case, without the dot that ends a complete name in DNS
 * (RFC 9110 4.2.3, RFC 3986 6.2.2.1), an IPv6 literal as RFC 5952 writes it, and a name of other letters as its A-labels (RFC 5890).
 */
import { canonicalIPv6 } from './network.ts'

const DOT = 46
const BRACKET = 91
const isAscii = (text: string): boolean => /^[\0-\x7f]*$/.test(text)
/** What stands in no host, and would begin another part of a URL or be dropped by who reads one. */
const NOT_IN_HOST = /[\s/?#@:\\%[\]]/

/** The one form of a host of ASCII, which needs not be valid: of what is not, only the case is changed. */
export function canonicalHost(text: string): string {
  const lower = text.toLowerCase()
  if (lower.charCodeAt(0) === BRACKET && lower.endsWith(']')) {
    const address = canonicalIPv6(lower.slice(1, -1))
    return address === null ? lower : `[${address}]`
  }
  return withoutLastDot(lower)
}

/** The name without the dot behind it. */
export function withoutLastDot(name: string): string {
  const { length } = name
  const ends = length > 1 && name.charCodeAt(length - 1) === DOT && name.charCodeAt(length - 2) !== DOT
  return ends ? name.slice(0, -1) : name
}

/** A host as a client would send it, its other letters as A-labels (UTS 46); null when there is no such host. */
export function asciiHost(text: string): string | null {
  if (isAscii(text)) return text
  if (NOT_IN_HOST.test(text)) return null
  return URL.parse(`http://${text}/`)?.hostname ?? null
}
