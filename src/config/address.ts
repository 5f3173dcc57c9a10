/**
 * The shapes of addresses in the spec: targets, listeners, hosts of routes, networks. Each parser answers null, or says
 * in words what is wrong; none asks DNS.
 */
import { isIPv4, isIPv6 } from 'node:net'

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

/** An all-digit last label would be read as an IPv4 address by every resolver (RFC 1123, 2.1). */
const isHostName = (text: string): boolean => HOST_NAME.test(text) && !/(?:^|\.)[0-9]+$/.test(text)
const isHost = (text: string): boolean => isHostName(text) || isIPv4(text)

/** Reads `host:port`, `:port` or `[v6]:port`; port 0 asks the system for a free one. */
export function parseListenAddress(text: string): HostPort | BadAddress {
  const colon = text.lastIndexOf(':')
  if (colon < 0) return { bad: `${JSON.stringify(text)} has no port: write host:port, or :port for every address` }
  const port = portOf(text.slice(colon + 1), 0)
  if (port === null) return { bad: `${JSON.stringify(text)} does not end with a port from 0 to 65535` }
  const host = text.slice(0, colon)
  if (host === '' || isHost(host)) return { host, port }
  if (host.startsWith('[') && host.endsWith(']') && isPlainIPv6(host.slice(1, -1))) {
    return { host: host.slice(1, -1), port }
  }
  if (isIPv6(host)) return { bad: `an IPv6 address needs brackets: [${host}]:${port}` }
  if (host === '*') return { bad: `write :${port} to accept on every address` }
  return { bad: `${JSON.stringify(host)} is not a host name or address` }
}

/** Whether only this machine can reach a listener at `host`. */
export const isLoopback = (host: string): boolean =>
  host.toLowerCase() === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))

/** `scheme://host:port` of a target URL, lower-case and with the port of the scheme where none is written. */
export function parseTarget(text: string): { readonly url: string } | BadAddress {
  const parts = /^(https?):\/\/(\[[^\]]*\]|[^:[\]/]*)(?::([^/:]*))?\/?$/i.exec(text)
  if (parts === null)
    return { bad: `${JSON.stringify(text)} is not scheme://host:port (an IPv6 address needs brackets)` }
  const scheme = parts[1].toLowerCase()
  const host = parts[2].toLowerCase()
  const known = host.startsWith('[') ? isPlainIPv6(host.slice(1, -1)) : isHost(host)
  if (!known) return { bad: `${JSON.stringify(text)}: ${JSON.stringify(parts[2])} is not a host name or address` }
  const port = parts[3] === undefined ? (scheme === 'https' ? 443 : 80) : portOf(parts[3], 1)
  if (port === null) return { bad: `${JSON.stringify(text)}: the port must be from 1 to 65535` }
  return { url: `${scheme}://${host}:${port}` }
}

/** What is wrong with the host of a route (exact, `*.example.com` or `*`), or null. */
export function badRouteHost(text: string): string | null {
  const shown = JSON.stringify(text)
  if (text === '*') return null
  if (text.startsWith('[') && text.endsWith(']') && isPlainIPv6(text.slice(1, -1))) return null
  const name = text.startsWith('*.') ? text.slice(2) : text
  if (isHostName(name) || (name === text && isIPv4(text))) return null
  if (/:[0-9]+$/.test(text)) return `${shown}: a route matches the host without its port`
  return `${shown} is not a host: write a name, *.example.com, or * for any`
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
