/**
 * The shapes of addresses in the spec: targets, listeners, hosts of routes, networks. Each parser answers the one form of what
 * it reads (table/host.ts), or says in words what is wrong; none asks DNS.
 */
import { isIPv4, isIPv6 } from 'node:net'
import { asciiHost, canonicalHost } from '../table/host.ts'
import { badSrv, isSrvUrl } from './srv-url.ts'

/** A bad address, told to people. */
export interface BadAddress {
  readonly bad: string
}

export interface HostPort {
  /** Without brackets; empty for every address. */
  readonly host: string
  readonly port: number
}

const HOST_NAME =
  /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$/
const portOf = (text: string, least: number): number | null => {
  const port = Number(text)
  return /^[0-9]{1,5}$/.test(text) && port >= least && port <= 65_535 ? port : null
}
const isPlainIPv6 = (text: string): boolean => isIPv6(text) && !text.includes('%')

/** A last label that is a number would be read as an IPv4 address by every resolver (RFC 1123, 2.1) and browser. */
const isHostName = (text: string): boolean => HOST_NAME.test(text) && !/(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$/i.test(text)

/** The one form of a host name or address, brackets included; null when it is neither. */
function hostOf(text: string): string | null {
  const ascii = asciiHost(text)
  const host = ascii === null ? '' : canonicalHost(ascii)
  if (isHostName(host) || isIPv4(host)) return host
  return host.startsWith('[') && isPlainIPv6(host.slice(1, -1)) ? host : null
}

/** `127.1`, `0x7f.1` and the like are addresses to some and names to others: the address that they mean, or null. */
function meantAddress(text: string): string | null {
  const host = /^[0-9A-Fa-fXx.]+$/.test(text) ? URL.parse(`http://${text}/`)?.hostname : undefined
  return host !== undefined && isIPv4(host) ? host : null
}

function notAHost(text: string): string {
  const meant = meantAddress(text)
  return `${JSON.stringify(text)} is not a host name or address${meant === null ? '' : `: write ${meant}`}`
}

/** A host and a port as one text, an IPv6 host in brackets. */
export const hostAndPort = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`

/** Reads `host:port`, `:port` or `[v6]:port`; port 0 asks the system for a free one. */
export function parseListenAddress(text: string): HostPort | BadAddress {
  const colon = text.lastIndexOf(':')
  if (colon < 0) return { bad: `${JSON.stringify(text)} has no port: write host:port, or :port for every address` }
  const port = portOf(text.slice(colon + 1), 0)
  if (port === null) return { bad: `${JSON.stringify(text)} does not end with a port from 0 to 65535` }
  const written = text.slice(0, colon)
  if (written === '') return { host: '', port }
  const host = hostOf(written)
  if (host !== null) return { host: host.startsWith('[') ? host.slice(1, -1) : host, port }
  if (isIPv6(written)) return { bad: `an IPv6 address needs brackets: [${written}]:${port}` }
  if (written === '*') return { bad: `write :${port} to accept on every address` }
  return { bad: notAHost(written) }
}

/**
 * Whether this name or address (bracketed or not, IPv4-mapped or not) is `localhost`, in 127.0.0.0/8, or ::1: only
 * this machine can reach a listener there.
 */
export function isLoopback(host: string): boolean {
  const bare = host.toLowerCase().replace(/^\[(.*)\]$/, '$1')
  if (bare === 'localhost' || bare === '::1') return true
  const octets = /^(?:::ffff:)?127((?:\.[0-9]{1,3}){3})$/.exec(bare)
  return octets?.[1].split('.').every((octet) => Number(octet) <= 255) ?? false
}

export interface Target {
  /**
   * `scheme://host:port` in its one form, always with the port, but for `srv+scheme://name`, which has none. A dot behind a name stays: it says that the name is complete, so
   * that it is looked up without the search list.
   */
  readonly url: string
  /** The same without that dot: two targets with one identity are one. */
  readonly identity: string
}

/** Reads `scheme://host[:port]`, and `srv+scheme://name`. */
export function parseTarget(text: string): Target | BadAddress {
  const parts = /^((?:srv\+)?https?):\/\/(\[[^\]]*\]|[^:[\]/]*)(?::([^/:]*))?\/?$/i.exec(text)
  if (parts === null)
    return { bad: `${JSON.stringify(text)} is not scheme://host:port (an IPv6 address needs brackets)` }
  const scheme = parts[1].toLowerCase()
  const host = hostOf(parts[2])
  if (host === null) return { bad: `${JSON.stringify(text)}: ${notAHost(parts[2])}` }
  const complete = asciiHost(parts[2])?.endsWith('.') === true && !isIPv4(host)
  if (isSrvUrl(scheme)) {
    const bad = badSrv(host, parts[3], text.replace(/\/$/, ''))
    const identity = `${scheme}://${host}`
    return bad === null ? { url: complete ? `${identity}.` : identity, identity } : { bad }
  }
  const port = parts[3] === undefined ? (scheme === 'https' ? 443 : 80) : portOf(parts[3], 1)
  if (port === null) return { bad: `${JSON.stringify(text)}: the port must be from 1 to 65535` }
  const identity = `${scheme}://${host}:${port}`
  return { url: complete ? `${scheme}://${host}.:${port}` : identity, identity }
}

/** The identity of a target: see `Target`. What is no target is its own. */
export function identityOf(url: string): string {
  const target = parseTarget(url)
  return 'bad' in target ? url : target.identity
}

/** The one form of the host of a route: exact, `*.example.com`, or `*`. */
export function parseRouteHost(text: string): { readonly host: string } | BadAddress {
  if (text === '*') return { host: text }
  const wildcard = text.startsWith('*.')
  const host = hostOf(wildcard ? text.slice(2) : text)
  if (host !== null && !(wildcard && (host.startsWith('[') || isIPv4(host)))) {
    return { host: wildcard ? `*.${host}` : host }
  }
  if (/:[0-9]+$/.test(text) && !isIPv6(text))
    return { bad: `${JSON.stringify(text)}: a route matches the host without its port` }
  if (isIPv6(text)) return { bad: `an IPv6 address needs brackets: [${text}]` }
  return {
    bad: `${JSON.stringify(text)} is not a host: write ${meantAddress(text) ?? 'a name, *.example.com, or * for any'}`,
  }
}

/** What is wrong with a network such as `10.0.0.0/8`, `2001:db8::/32` or a plain address, or null. */
export function badNetwork(text: string): string | null {
  const [address, bits, ...rest] = text.split('/')
  const bitsMax = isIPv4(address) ? 32 : isPlainIPv6(address) ? 128 : 0
  const bitsFit = bits === undefined || (/^[0-9]{1,3}$/.test(bits) && Number(bits) <= bitsMax)
  if (bitsMax > 0 && rest.length === 0 && bitsFit) return null
  return `${JSON.stringify(text)} is not a network such as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7`
}

/** A network with its prefix length, as tables read it: a plain address is a network of one. */
export const networkOf = (text: string): string => (text.includes('/') ? text : `${text}/${isIPv4(text) ? 32 : 128}`)

/** A field name or cookie name (RFC 9110, 5.6.2). */
export const isToken = (text: string): boolean => /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(text)
