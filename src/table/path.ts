/**
 * The one form of a path in the config: as a client sends it. What may not stand in a request-target (other letters, blanks,
 * controls) is percent-encoded as UTF-8; the digits of `%c3` are upper-case, since their case says nothing (RFC 3986 6.2.2.1).
 * Nothing else is equal: `%41` is not `A`, and `//` and `..` stay, for targets differ in what they make of them.
 */
import { octetsOfText } from './octets.ts'

const ESCAPE = /%[0-9A-Fa-f]{2}/g
/** Anything but visible ASCII. */
const NOT_IN_TARGET = /[^!-~]/g

/** The path with `%c3` as `%C3`. */
export const withUpperEscapes = (path: string): string =>
  path.includes('%') ? path.replace(ESCAPE, (digits) => digits.toUpperCase()) : path

/** A path, or path and query, as a client sends it. */
export const encodedPath = (text: string): string =>
  octetsOfText(text).replace(NOT_IN_TARGET, (octet) => {
    const digits = octet.charCodeAt(0).toString(16).toUpperCase()
    return digits.length < 2 ? `%0${digits}` : `%${digits}`
  })

/** The one form of a path, or of path and query. */
export const canonicalPath = (text: string): string => withUpperEscapes(encodedPath(text))

/** The path of a route: what it matches does not depend on slashes at its end. */
export function canonicalRoutePath(text: string): string {
  const path = canonicalPath(text)
  let end = path.length
  while (end > 1 && path.endsWith('/', end)) end--
  return path.slice(0, end)
}
