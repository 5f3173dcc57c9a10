/**
 * Client addresses and networks (CIDR): parsing and membership.
 *
 * Everything is held as 128 bits in four unsigned words; IPv4 as IPv4-mapped IPv6 (RFC 4291 §2.5.5.2), so `::ffff:10.0.0.1`
 * and `10.0.0.1` are one address, whichever way the socket reports it. Parsing is strict: what two programs could read in two ways
 * (octets with leading zeros, RFC 6943 §3.1.1) is no address. A zone (`%eth0`) is dropped, for it says nothing of the client.
 * The last parsed address is remembered: one request asks many rules, and one connection sends many requests.
 */
/** A parsed CIDR; IPv4 is held as IPv4-mapped IPv6, 128 bits in four unsigned words. */
export interface Network {
  readonly words: readonly [number, number, number, number]
  readonly bits: number
}

type Words = [number, number, number, number]

const ADDRESS_LENGTH_MAX = 64
const GROUP = /^[0-9A-Fa-f]{1,4}$/
const BITS = /^(?:0|[1-9][0-9]{0,2})$/

const DOT = 46
const ZERO = 48

/** Read by hand: it is done for every request when rules ask for the address. */
function parseIPv4(text: string): number | null {
  let word = 0
  let octets = 0
  for (let at = 0; ; at++) {
    const start = at
    let octet = 0
    for (; at < text.length && text.charCodeAt(at) !== DOT; at++) {
      const digit = text.charCodeAt(at) - ZERO
      if (digit < 0 || digit > 9 || at - start > 2) return null
      octet = octet * 10 + digit
    }
    const padded = at - start > 1 && text.charCodeAt(start) === ZERO
    if (at === start || padded || octet > 255) return null
    word = word * 256 + octet
    if (++octets === 4 || at >= text.length) return octets === 4 && at === text.length ? word : null
  }
}

/** The 16-bit groups of one side of `::`; null when malformed. Only the last may be a dotted IPv4 address. */
function parseGroups(text: string, last: boolean): number[] | null {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':')
  for (const [index, part] of parts.entries()) {
    if (GROUP.test(part)) {
      groups.push(Number.parseInt(part, 16))
      continue
    }
    const word = last && index === parts.length - 1 ? parseIPv4(part) : null
    if (word === null) return null
    groups.push(Math.floor(word / 65_536), word % 65_536)
  }
  return groups
}

function parseIPv6(text: string): Words | null {
  const gap = text.indexOf('::')
  const head = parseGroups(gap < 0 ? text : text.slice(0, gap), gap < 0)
  const tail = gap < 0 ? [] : parseGroups(text.slice(gap + 2), true)
  if (head === null || tail === null) return null
  const missing = 8 - head.length - tail.length
  if (gap < 0 ? missing !== 0 : missing < 1) return null
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail]
  const word = (index: number) => groups[index] * 65_536 + groups[index + 1]
  return [word(0), word(2), word(4), word(6)]
}

/** The 128 bits of an IPv4 or IPv6 address, or null when it is not one. */
export function parseAddress(text: string): Words | null {
  if (text.length > ADDRESS_LENGTH_MAX) return null
  if (!text.includes(':')) {
    const word = parseIPv4(text)
    return word === null ? null : [0, 0, 0xffff, word]
  }
  const zone = text.indexOf('%')
  return parseIPv6(zone < 0 ? text : text.slice(0, zone))
}

/** The 128 bits of an IPv6 address as people write it: RFC 5952, but never with a dotted part. */
function textOfIPv6(words: Readonly<Words>): string {
  const groups = words.flatMap((word) => [word >>> 16, word & 0xffff])
  let gap = { start: -1, length: 1 }
  for (let start = 0; start < 8; start++) {
    let length = 0
    while (start + length < 8 && groups[start + length] === 0) length++
    if (length > gap.length) gap = { start, length }
  }
  const hex = groups.map((group) => group.toString(16))
  if (gap.start < 0) return hex.join(':')
  return `${hex.slice(0, gap.start).join(':')}::${hex.slice(gap.start + gap.length).join(':')}`
}

/** The one way to write an IPv6 address without a zone; null when it is none. */
export function canonicalIPv6(text: string): string | null {
  const words = text.includes(':') && !text.includes('%') ? parseAddress(text) : null
  return words === null ? null : textOfIPv6(words)
}

/** The one way to write an address: IPv4-mapped ones as IPv4, and without zone. What is none stays. */
export function canonicalAddress(text: string): string {
  const words = text.includes(':') ? parseAddress(text) : null
  if (words === null) return text
  const [first, second, third, last] = words
  if (first !== 0 || second !== 0 || third !== 0xffff) return textOfIPv6(words)
  return [last >>> 24, (last >>> 16) & 255, (last >>> 8) & 255, last & 255].join('.')
}

/** A network written as `10.0.0.0/8`, `2001:db8::/32`, or as one address; null when malformed. */
export function parseNetwork(text: string): Network | null {
  const slash = text.indexOf('/')
  const address = slash < 0 ? text : text.slice(0, slash)
  const words = address.includes('%') ? null : parseAddress(address)
  if (words === null) return null
  const offset = address.includes(':') ? 0 : 96
  if (slash < 0) return { words, bits: 128 }
  const length = text.slice(slash + 1)
  if (!BITS.test(length) || Number(length) > 128 - offset) return null
  return { words, bits: Number(length) + offset }
}

/** A network that validation has let pass. Throws (a bug) when it is malformed. */
export function knownNetwork(text: string): Network {
  const network = parseNetwork(text)
  if (network === null) throw new Error(`${text} is not a network`)
  return network
}

/** Whether an address lies in a network; only its first `bits` bits are compared. */
export function contains(network: Network, words: Readonly<Words>): boolean {
  for (let index = 0, rest = network.bits; rest > 0; index++, rest -= 32) {
    const differing = network.words[index] ^ words[index]
    if ((rest >= 32 ? differing : differing >>> (32 - rest)) !== 0) return false
  }
  return true
}

let lastText = ''
let lastWords: Readonly<Words> | null = null

/** The 128 bits of a client address, or null when it is none. */
export function wordsOf(address: string): Readonly<Words> | null {
  if (address !== lastText) {
    lastWords = parseAddress(address)
    lastText = address
  }
  return lastWords
}

/** Whether a client address lies in any of the networks; false for what is no address. */
export function inNetworks(networks: readonly Network[], address: string): boolean {
  const words = wordsOf(address)
  if (words === null) return false
  for (const network of networks) if (contains(network, words)) return true
  return false
}
