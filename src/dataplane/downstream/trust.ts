/**
 * Whom we believe about the client: the address, scheme and host that a request came with, and what is said of them to the
 * target.
 *
 * Forwarded fields are the connection's own facts unless the peer is a trusted proxy; then the client is the rightmost
 * address of X-Forwarded-For that is no trusted proxy itself, because everything left of it may be invented. Fields from
 * anybody else are dropped, not appended to, and so are others by which proxies tell of the client (`KIND.claim`). RFC 7239 for
 * Forwarded.
 */

import { inNetworks, parseAddress, parseNetwork } from '../../table/network.ts'
import type { Network } from '../../table/types.ts'
import { KIND } from '../http1/field-kinds.ts'
import type { Fields } from '../http1/fields.ts'
import { flat, TOKEN, withoutSpace } from '../http1/syntax.ts'

/** Addresses of a chain that are looked at; a longer chain is somebody playing. */
const CHAIN_MAX = 32

export class TrustedProxies {
  readonly #networks: Network[] = []

  /** Networks in CIDR notation; those that do not parse were refused by the config check. */
  constructor(cidrs: readonly string[]) {
    for (const cidr of cidrs) {
      const network = parseNetwork(cidr)
      if (network !== null) this.#networks.push(network)
    }
  }

  /** Whether this address is a trusted proxy. */
  has(address: string): boolean {
    return this.#networks.length > 0 && inNetworks(this.#networks, address)
  }

  /** The client's address by the X-Forwarded-For chain of a request from a trusted peer. */
  clientOf(fields: Fields, peer: string): string {
    const chain = joined(fields, KIND.forwardedFor).split(',', CHAIN_MAX + 1)
    if (chain.length > CHAIN_MAX) return peer
    let client = peer
    for (let i = chain.length - 1; i >= 0; i--) {
      const address = plainAddress(withoutSpace(chain[i]))
      if (address === null) return client
      client = address
      if (!this.has(address)) return client
    }
    return client
  }
}

/** An address without port or brackets, or null when it is none. */
function plainAddress(text: string): string | null {
  let address = text
  if (address.charCodeAt(0) === 91) address = address.slice(1, Math.max(1, address.indexOf(']')))
  else if (address.indexOf(':') === address.lastIndexOf(':') && address.includes(':')) {
    address = address.slice(0, address.indexOf(':'))
  }
  return parseAddress(address) === null ? null : address
}

/** Values of all fields of a kind as one list. */
function joined(fields: Fields, kind: number): string {
  let list = ''
  for (let i = 0; i < fields.count; i++) {
    if (fields.kind(i) === kind) list = list === '' ? fields.value(i) : list + ', ' + fields.value(i)
  }
  return list
}

/** The forwarded fields of a connection from a peer that is not trusted: the same for every request to the same host. */
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
  for (let i = 0; i < fields.count; i++) {
    if (fields.kind(i) === KIND.forwarded && !isForwarded(fields.value(i))) return ''
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
