/**
 * Conditions by lists: visitors by their key, as the service's sources find it, and client addresses (after trusted proxies) by
 * networks. An empty list has nobody in it.
 */
import type { Static } from 'typebox'
import { networkOf } from '../../config/address.ts'
import { checkNetworks, checkVisitors } from '../../config/check-condition.ts'
import { Type } from '../../config/type.ts'
import { inNetworks, knownNetwork } from '../network.ts'
import { octetsOfText } from '../octets.ts'
import type { Kind } from './kind.ts'

const visitorSchema = Type.Array(Type.String(), { description: 'The visitor key is one of these.' })

/** Visitors by name. */
export const visitor = {
  schema: visitorSchema,
  check: (report, at, spec, { sources }) => checkVisitors(report, at, spec, sources),
  plan: (spec) => [spec.map(octetsOfText)],
  keys: (list) => ({ filings: [{ space: 'visitor', name: '', values: list }], whole: true }),
  compile(list) {
    const visitors = new Set(list)
    return { holds: (_view, key) => key !== null && visitors.has(key) }
  },
  words: (list) => `${list.length} named visitors`,
  example: {
    spec: ['u-1', 'u-17'],
    held: { headers: { 'x-user': 'u-17' } },
    failed: { headers: { 'x-user': 'u-2' } },
  },
} satisfies Kind<Static<typeof visitorSchema>, readonly string[]>

const cidrSchema = Type.Array(Type.String(), { description: 'The client address is in one of these networks.' })

/** Client addresses by network. */
export const cidr = {
  schema: cidrSchema,
  check: (report, at, spec) => checkNetworks(report, at, spec),
  plan: (spec) => [spec.map(networkOf)],
  keys: (list) => ({ filings: [{ space: 'network', name: '', values: list }], whole: true }),
  compile(list) {
    const networks = list.map(knownNetwork)
    return { holds: ({ address }) => inNetworks(networks, address) }
  },
  words: (list) => `addresses in ${list.join(', ')}`,
  example: { spec: ['10.0.0.0/8', '2001:db8::/32'], held: { ip: '10.1.2.3' }, failed: { ip: '11.1.2.3' } },
} satisfies Kind<Static<typeof cidrSchema>, readonly string[]>
