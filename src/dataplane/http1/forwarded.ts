/**
 * The fields by which a proxy tells a target of the client: X-Forwarded-* and Forwarded (RFC 7239).
 *
 * From a peer that is no trusted proxy they are the connection's own facts: what such a peer says itself is dropped, and so are
 * others by which proxies tell of the client (`KIND.claim`). What a trusted proxy says is extended.
 */
import { KIND, kindBits } from './field-kinds.ts'
import type { Fields } from './fields.ts'
import { flat, TOKEN } from './syntax.ts'

const TOLD = kindBits(KIND.forwarded, KIND.forwardedFor, KIND.forwardedProto, KIND.forwardedHost)

/** Whether a request brings any of them. Without, a trusted proxy is a client like others: there is nothing to extend. */
export const tellsOfClient = (fields: Fields): boolean => fields.hasAny(TOLD)

/** Values of all fields of a kind as one list. */
export function joined(fields: Fields, kind: number): string {
  let list = ''
  for (let i = fields.next(kind); i >= 0; i = fields.next(kind, i + 1)) {
    list = list === '' ? fields.value(i) : list + ', ' + fields.value(i)
  }
  return list
}

/** The forwarded fields of a connection whose peer tells of nobody: the same for every request to the same host. */
export class ForwardedLines {
  readonly #peer: string
  readonly #tls: boolean
  #authority: string | null = null
  #lines = ''

  constructor(peer: string, tls: boolean) {
    this.#peer = peer
    this.#tls = tls
  }

  /** The lines for an authority, made anew only when it is another than last time. */
  for(authority: string): string {
    if (this.#authority !== authority) {
      this.#authority = authority
      this.#lines = flat(forwardedLines(this.#peer, this.#tls, authority))
    }
    return this.#lines
  }
}

/** The forwarded fields for a request straight from the client; `peer` is its address. */
export function forwardedLines(peer: string, tls: boolean, authority: string): string {
  const proto = tls ? 'https' : 'http'
  const host = authority === '' ? '' : 'X-Forwarded-Host: ' + authority + '\r\n'
  return (
    'X-Forwarded-For: ' +
    peer +
    '\r\nX-Forwarded-Proto: ' +
    proto +
    '\r\n' +
    host +
    forwardedElement('', peer, proto, authority)
  )
}

/** The forwarded fields for a request that a trusted proxy passed on: theirs, extended. */
export function extendedLines(fields: Fields, peer: string, tls: boolean, authority: string): string {
  const chain = joined(fields, KIND.forwardedFor)
  const proto = joined(fields, KIND.forwardedProto) || (tls ? 'https' : 'http')
  const host = joined(fields, KIND.forwardedHost) || authority
  return (
    'X-Forwarded-For: ' +
    (chain === '' ? peer : chain + ', ' + peer) +
    '\r\nX-Forwarded-Proto: ' +
    proto +
    '\r\n' +
    (host === '' ? '' : 'X-Forwarded-Host: ' + host + '\r\n') +
    forwardedElement(elements(fields), peer, tls ? 'https' : 'http', authority)
  )
}

/** The elements of Forwarded, or nothing when any is malformed: behind a quote that never ends, ours would be a part of theirs. */
function elements(fields: Fields): string {
  for (let i = fields.next(KIND.forwarded); i >= 0; i = fields.next(KIND.forwarded, i + 1)) {
    if (!isForwarded(fields.value(i))) return ''
  }
  return joined(fields, KIND.forwarded)
}

/**
 * Whether a value is a list by RFC 7239 4: elements between commas, of pairs between semicolons, each a token and a token or
 * quoted string; empty ones are none. Addresses that somebody has forgotten to quote (`for=[::1]:80`) are let pass.
 */
function isForwarded(value: string): boolean {
  let at = 0
  while (at < value.length) {
    at = afterSpace(value, at)
    const name = at
    while (TOKEN[value.charCodeAt(at)] === 1) at++
    if (at > name) {
      if (value.charCodeAt(at) !== 61) return false
      const start = at + 1
      at = value.charCodeAt(start) === 34 ? quotedEnd(value, start) : plainEnd(value, start)
      if (at <= start) return false
      at = afterSpace(value, at)
    }
    const code = value.charCodeAt(at)
    if (at < value.length && code !== 44 && code !== 59) return false
    at++
  }
  return true
}

function afterSpace(value: string, at: number): number {
  while (value.charCodeAt(at) === 32 || value.charCodeAt(at) === 9) at++
  return at
}

/** Offset behind what is not quoted; colons and brackets of an address pass. */
function plainEnd(value: string, at: number): number {
  for (;;) {
    const code = value.charCodeAt(at)
    if (TOKEN[code] !== 1 && code !== 58 && code !== 91 && code !== 93) return at
    at++
  }
}

/** Offset behind the quoted string that begins at `at`, or -1 without its end. */
function quotedEnd(value: string, at: number): number {
  while (++at < value.length) {
    const code = value.charCodeAt(at)
    if (code === 34) return at + 1
    if (code === 92) at++
  }
  return -1
}

function forwardedElement(before: string, peer: string, proto: string, authority: string): string {
  const node = peer.includes(':') ? '"[' + peer + ']"' : peer
  const host = authority === '' ? '' : ';host="' + authority + '"'
  return 'Forwarded: ' + (before === '' ? '' : before + ', ') + 'for=' + node + host + ';proto=' + proto + '\r\n'
}
