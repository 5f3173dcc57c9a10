/**
 * Which addresses a name stands for, from what its lookup has found. Pure.
 *
 * The two families of a name nearly always lead to the same machines, so counting them apart would double the share of a
 * target and make two failures of one. Therefore one family is used: IPv4, unless the name or this machine has only IPv6.
 * A name with exactly one address of each (`localhost`, a machine with two stacks) is one address with an alternate, which is
 * tried when the first does not accept: a program may listen on either. IPv4 goes first because it is what accepts nearly
 * everywhere, whatever the routes for IPv6 look like.
 */
import { isIP, isIPv4 } from 'node:net'
import { isSrvUrl } from '../config/srv-url.ts'
import { canonicalIPv6 } from '../table/network.ts'

/** Addresses of a name that are used at the same time. */
export const ADDRESSES_MAX = 64

/** Where connections to a target go. */
export interface Address {
  /** The identity of this place within its target: an IP address, or `ip:port` where a SRV record says the port. */
  readonly address: string
  /** The IP address of the same place by the other family, tried when the first does not accept; null for none. */
  readonly alternate: string | null
  /** What the SRV record says of this place; absent where the URL of the target says it. */
  readonly srv?: SrvPlace
}

/** A place that a SRV record names. */
export interface SrvPlace {
  /** In lower case, without the dot behind it: certificates are verified for it, and it is the Host of probes. */
  readonly host: string
  readonly ip: string
  readonly port: number
  /** Its part of the target beside the other places: at least 1. */
  readonly weight: number
}

/** What a lookup has found, by family. */
export interface Families {
  readonly v4: readonly string[]
  readonly v6: readonly string[]
}

/** The addresses to use, and how many more the name has. */
export interface Chosen {
  readonly addresses: readonly Address[]
  readonly unused: number
}

/** Chooses among the addresses of a name; `prefersV6` on a machine that has no address of IPv4. */
export function chooseAddresses({ v4, v6 }: Families, prefersV6: boolean): Chosen {
  const [first, second] = v4.length > 0 && !(prefersV6 && v6.length > 0) ? [v4, v6] : [v6, v4]
  if (first.length === 1 && second.length === 1) {
    return { addresses: [{ address: first[0], alternate: second[0] }], unused: 0 }
  }
  // In order, so that a server that shuffles its answers changes nothing, and a limit always takes the same ones.
  const addresses = first.toSorted().slice(0, ADDRESSES_MAX)
  return {
    addresses: addresses.map((address) => ({ address, alternate: null })),
    unused: first.length - addresses.length,
  }
}

/** An IP address in its one usual spelling; null when the text is none. */
export function plainAddress(text: string): string | null {
  // One with a zone (fe80::1%eth0) is none: it means something on one machine only.
  return isIPv4(text) ? text : canonicalIPv6(text)
}

/**
 * Whether a connection to an address can lead to the target that a name means. What blockers of names answer (0.0.0.0) would
 * lead to this machine itself; groups and addresses without their link lead nowhere.
 */
export function isUsable(address: string): boolean {
  if (address.includes(':')) return address !== '::' && !/^(ff|fe[89ab])/i.test(address)
  const first = Number(address.slice(0, address.indexOf('.')))
  return first !== 0 && first < 224
}

type Told = (error: null, address: string | { address: string; family: number }[], family?: number) => void

/** For `lookup` of node:net: answers what is known, so that the alternate is tried when the first does not accept or is slow. */
export function lookupOf({ address, alternate }: Address): (host: string, how: { all?: boolean }, told: Told) => void {
  const texts = alternate === null ? [address] : [address, alternate]
  const all = texts.map((text) => ({ address: text, family: isIP(text) }))
  return (_host, how, told) => {
    if (how.all === true) told(null, all)
    else told(null, address, all[0].family)
  }
}

/**
 * What is looked up for a target: the host of its URL, without brackets, or `SRV name` where its records say the hosts; empty for
 * what is no URL.
 */
export function hostOf(url: string): string {
  const host = (URL.parse(url)?.hostname ?? '').replace(/^\[|\]$/g, '')
  return host !== '' && isSrvUrl(url) ? SRV + host.toLowerCase() : host
}

/** A target at one of its addresses, for people: the URL says enough where it has the address itself. */
export const placeInWords = (url: string, address: string): string =>
  address === hostOf(url) ? url : `${url} (${address})`

/** Begins what is looked up as SRV records: no host of a URL has a space. */
export const SRV = 'SRV '

/** Whether a host of a target is an address itself, so that nobody need be asked. */
export const isLiteral = (host: string): boolean => isIP(host) !== 0

/** The loopback addresses, which `localhost` and all names below it always are (RFC 6761, 6.3). */
export const LOOPBACK: Families = Object.freeze({ v4: Object.freeze(['127.0.0.1']), v6: Object.freeze(['::1']) })

/** Whether a name is `localhost` or below it. */
export const isLocalhost = (host: string): boolean => /(^|\.)localhost\.?$/.test(host)
