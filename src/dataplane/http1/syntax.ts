/**
 * The alphabet of HTTP/1.1 as lookup tables, and the few lexical rules that requests, responses and trailers share.
 *
 * Heads are latin1 strings here: one character is one octet, so `charCodeAt` reads octets and a `slice` copies none.
 * Every rule is a table look-up in a single pass; there is no regular expression on bytes from the network, so the time is
 * linear in the length whatever is sent. Source: RFC 9110 5.5 and 5.6.2 (token, field value), RFC 3986 3.2.2 (host).
 */

import { parseAddress } from '../../table/network.ts'

const table = (accept: (code: number) => boolean): Uint8Array => {
  const out = new Uint8Array(256)
  for (let code = 0; code < 256; code++) out[code] = accept(code) ? 1 : 0
  return out
}
const isAlphaNumeric = (c: number) => (c >= 48 && c <= 57) || (c >= 65 && c <= 90) || (c >= 97 && c <= 122)
const among = (characters: string) => (c: number) => characters.includes(String.fromCharCode(c))

/** RFC 9110 5.6.2: the characters of a token (methods, field names). */
export const TOKEN = table((c) => isAlphaNumeric(c) || (c < 128 && among("!#$%&'*+-.^_`|~")(c)))
/** RFC 9110 5.5: the octets of a field value, with SP and HTAB; no other control, no DEL. */
export const VALUE = table((c) => c === 9 || (c >= 32 && c !== 127))
/** Octets that may stand in a request-target: visible ASCII without `#`, which no client sends. */
export const TARGET = table((c) => c > 32 && c < 127 && c !== 35)
/** Visible ASCII. */
export const VISIBLE = table((c) => c > 32 && c < 127)
/** RFC 3986 3.2.2: reg-name and IPv4, but for `,` (two hosts joined by a merger) and `%` (who decodes, who does not?). */
const REG_NAME = table((c) => isAlphaNumeric(c) || (c < 128 && among("-._~!$&'()*+;=")(c)))
/** Inside the brackets of an IP literal. */
const IP_LITERAL = table((c) => (c >= 48 && c <= 58) || (c >= 65 && c <= 70) || (c >= 97 && c <= 102) || c === 46)
/** RFC 9110 7.8: a list of protocols, each a name with perhaps a version. */
export const PROTOCOLS = table((c) => TOKEN[c] === 1 || (c < 128 && among(', \t/')(c)))
/** Value of a hexadecimal digit plus one; 0 for any other octet. */
export const HEX = new Uint8Array(256)
for (let digit = 0; digit < 16; digit++) {
  HEX[digit.toString(16).charCodeAt(0)] = digit + 1
  HEX[digit.toString(16).toUpperCase().charCodeAt(0)] = digit + 1
}

export const CR = 13
export const LF = 10
export const SP = 32
export const HTAB = 9
export const COLON = 58
export const COMMA = 44

/** Whether `text` from `start` for `lower.length` characters is `lower`, ignoring ASCII case. `lower` is lower-case. */
export function equalsIgnoreCase(text: string, start: number, lower: string): boolean {
  for (let i = 0; i < lower.length; i++) {
    let code = text.charCodeAt(start + i)
    if (code >= 65 && code <= 90) code += 32
    if (code !== lower.charCodeAt(i)) return false
  }
  return true
}

/** Whether the whole of `text` is `lower`, ignoring ASCII case. */
export function isIgnoringCase(text: string, lower: string): boolean {
  return text.length === lower.length && equalsIgnoreCase(text, 0, lower)
}

/** Digits of a Content-Length in `text[start, end)` as a number, or -1 when it is anything but digits below 2^53. RFC 9112 6.3(5). */
export function parseLength(text: string, start: number, end: number): number {
  while (end - start > 1 && text.charCodeAt(start) === 48) start++
  const digits = end - start
  if (digits < 1 || digits > 16) return -1
  let value = 0
  for (let i = start; i < end; i++) {
    const digit = text.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return value <= Number.MAX_SAFE_INTEGER ? value : -1
}

/** Characters of a host (RFC 3986 3.2.2): it is kept for as long as its connection lasts, so a longer one is refused. */
const HOST_LENGTH_MAX = 255
const PORT_LENGTH_MAX = 6

/**
 * End of the host part of an authority `host[:port]`, or -1 when it is malformed. User information is never accepted:
 * it is how one host is dressed up as another (RFC 9110 4.2.4).
 */
export function hostEnd(authority: string): number {
  const length = authority.length
  if (length > HOST_LENGTH_MAX + PORT_LENGTH_MAX) return -1
  let at = 0
  if (authority.charCodeAt(0) === 91) {
    at = 1
    while (at < length && IP_LITERAL[authority.charCodeAt(at)] === 1) at++
    if (authority.charCodeAt(at) !== 93 || !isIPv6(authority.slice(1, at))) return -1
    at++
  } else {
    while (at < length && REG_NAME[authority.charCodeAt(at)] === 1) at++
    if (at === 0 || at > HOST_LENGTH_MAX) return -1
  }
  if (at === length) return at
  if (authority.charCodeAt(at) !== COLON || length - at > PORT_LENGTH_MAX) return -1
  let port = 0
  for (let i = at + 1; i < length; i++) {
    const digit = authority.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) return -1
    port = port * 10 + digit
  }
  return port <= 65535 ? at : -1
}

const isIPv6 = (text: string) => text.includes(':') && parseAddress(text) !== null

/** Whether what has come of a request, read or not, is by the method HEAD: no answer to it has a body (RFC 9110 9.3.2). */
export function asksHead(text: string): boolean {
  return text.startsWith('HEAD ', text.charCodeAt(0) === CR ? 2 : 0)
}

/** Whether no more has come than the empty line that is ignored before a request, or a part of it. */
export function isEmptyLine(text: string): boolean {
  return text.length <= 2 && text.charCodeAt(0) === CR
}

/** The octets of a latin1 text. */
export function octetsOf(text: string): Uint8Array {
  return Buffer.from(text, 'latin1')
}

/** The same text in one piece: V8 keeps a concatenation as a tree, which costs at every use of a text that is kept. */
export function flat(text: string): string {
  return Buffer.from(text, 'latin1').latin1Slice(0, text.length)
}

/** The text without SP and HTAB around it (RFC 9110 5.6.3). `trim` would also take U+00A0, which is an octet like any other here. */
export function withoutSpace(text: string): string {
  let from = 0
  let to = text.length
  while (from < to && (text.charCodeAt(from) === SP || text.charCodeAt(from) === HTAB)) from++
  while (to > from && (text.charCodeAt(to - 1) === SP || text.charCodeAt(to - 1) === HTAB)) to--
  return text.slice(from, to)
}

/** Whether a comma-separated list holds a token, ignoring case. Linear; allocates nothing. */
export function listHas(list: string, lower: string): boolean {
  let at = 0
  while (at <= list.length) {
    let end = list.indexOf(',', at)
    if (end < 0) end = list.length
    let from = at
    let to = end
    while (from < to && (list.charCodeAt(from) === SP || list.charCodeAt(from) === HTAB)) from++
    while (to > from && (list.charCodeAt(to - 1) === SP || list.charCodeAt(to - 1) === HTAB)) to--
    if (to - from === lower.length && equalsIgnoreCase(list, from, lower)) return true
    at = end + 1
  }
  return false
}

declare global {
  // Node has these on every Buffer (they are what `toString('latin1')` and `write(…, 'latin1')` end in), but its types do not.
  interface Buffer {
    latin1Slice(start: number, end: number): string
    hexSlice(start: number, end: number): string
    latin1Write(text: string, offset: number): number
  }
}

/** Bytes at hand above which the end of a head is looked for before they are made a text. */
const LONG_BYTES = 4_096
const HEAD_END = Buffer.from('\r\n\r\n')

/** Where the head in `buffer[at, until)` ends, when that is easily told; else `until`. Behind it may stand many other requests. */
export function headStop(buffer: Buffer, at: number, until: number): number {
  if (until - at <= LONG_BYTES) return until
  const stop = buffer.indexOf(HEAD_END, at)
  return stop < 0 ? until : Math.min(until, stop + HEAD_END.length)
}
