/**
 * Whom we believe about the client. It is the peer itself, unless that is a trusted proxy: then it is the rightmost address of
 * X-Forwarded-For that is no trusted proxy, because everything left of it may be invented.
 */

import { canonicalAddress, inNetworks, type Network, parseAddress, parseNetwork } from '../../table/network.ts'
import { KIND } from '../http1/field-kinds.ts'
import type { Fields } from '../http1/fields.ts'
import { joined } from '../http1/forwarded.ts'
import { withoutSpace } from '../http1/syntax.ts'

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
    if (fields.next(KIND.forwardedFor) < 0) return peer
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

/** An address in its one form, without port or brackets, or null when it is none: it may be who the visitor is. */
function plainAddress(text: string): string | null {
  let address = text
  if (address.charCodeAt(0) === 91) address = address.slice(1, Math.max(1, address.indexOf(']')))
  else if (address.indexOf(':') === address.lastIndexOf(':') && address.includes(':')) {
    address = address.slice(0, address.indexOf(':'))
  }
  return parseAddress(address) === null ? null : canonicalAddress(address)
}
