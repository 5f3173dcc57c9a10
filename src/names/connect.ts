/**
 * How Turnout itself asks a target at one of its addresses, by undici, which is handed in: probes, and the gates of a rollout.
 *
 * It is asked as traffic goes (dataplane/socket/socket.ts): at the address that was looked up, the alternate where that does not accept, by
 * HTTP/1.1, and over TLS with a certificate for the host of the target, of SRV records that of the record. undici would take the name
 * for TLS from the Host of a request, which may be another one.
 */
import type { buildConnector } from 'undici'
import { hostAndPort, identityOf } from '../config/address.ts'
import { SRV_PREFIX } from '../config/srv-url.ts'
import { type Address, lookupOf } from './address.ts'

/** The origin of a target at an address, and so its Host where nothing else says it: without the dot of a complete name, which no server expects. */
export const originOf = (url: string, { srv }: Address): string =>
  srv === undefined
    ? identityOf(url)
    : `${url.slice(SRV_PREFIX.length, url.indexOf('//'))}//${hostAndPort(srv.host, srv.port)}`

/** Connects to that origin at the address. */
export function connectorOf(
  { buildConnector: build }: { readonly buildConnector: typeof buildConnector },
  address: Address,
  timeoutMs: number,
): buildConnector.connector {
  const lookup = lookupOf({ ...address, address: address.srv?.ip ?? address.address })
  const connect = build({ timeout: timeoutMs, lookup, allowH2: false })
  return (options, done) => connect({ ...options, servername: '' }, done)
}
