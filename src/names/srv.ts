/**
 * Which places the SRV records of a name stand for (RFC 2782). Pure: records come from srv-lookup.ts, and their hosts are names like any
 * other, each with its own TTL, failures and addresses (names.ts).
 *
 * - Of the records, those of the lowest priority number count of which a host has an address. The others are not used, whatever health
 *   those of the first are of: probes know of it, DNS does not.
 * - Weights count by their ratio in the smallest whole numbers: where all are the same, each is 1. Beside others, weight 0 is a
 *   hundredth of the smallest, the least that is not nothing. Each address of a host has the weight of its record.
 * - As with addresses (state.ts), a failure takes nothing away; nor does an answer of which no host is known yet. An answer whose hosts
 *   were not all asked yet waits for them, so that nothing moves by halves.
 */
import { hostAndPort } from '../config/address.ts'
import { ADDRESSES_MAX, type Address, type SrvPlace } from './address.ts'
import { type NameFault, type NameState, onFault, UNASKED } from './state.ts'

/** Time until the records are looked up again: node:dns does not tell their TTL. Their hosts go by their own. */
export const SRV_MS = 10_000
/** What weight 1 is beside weight 0. */
const LEAST = 100

/** One record. */
export interface SrvRecord {
  readonly priority: number
  readonly weight: number
  readonly port: number
  /** In lower case, without the dot behind it. */
  readonly host: string
}

/** What came of one lookup of SRV records: at least one that can be used, or a fault. */
export type SrvLookup =
  | { readonly from: string; readonly records: readonly SrvRecord[] }
  | { readonly fault: NameFault }

/** What is known of the records of a name. */
export interface SrvState {
  /** In order, at most `ADDRESSES_MAX`. */
  readonly records: readonly SrvRecord[]
  /** Records beyond. */
  readonly unused: readonly SrvRecord[]
  readonly from: string | null
  readonly fault: NameFault | null
  readonly failures: number
  readonly nextMs: number
}

/** Records that nobody has asked for yet. */
export const NO_RECORDS: SrvState = Object.freeze({
  records: [],
  unused: [],
  from: null,
  fault: UNASKED.fault,
  failures: 0,
  nextMs: 0,
})

/** The state after one more lookup. */
export function onSrvLookup(state: SrvState, lookup: SrvLookup): SrvState {
  if ('fault' in lookup) return { ...state, ...onFault(state.failures, lookup.fault) }
  const order = (a: SrvRecord, b: SrvRecord) => a.priority - b.priority || (keyOf(a) < keyOf(b) ? -1 : 1)
  const sorted = lookup.records.toSorted(order)
  const [records, unused] = [sorted.slice(0, ADDRESSES_MAX), sorted.slice(ADDRESSES_MAX)]
  return { records, unused, from: lookup.from, fault: null, failures: 0, nextMs: SRV_MS }
}

const keyOf = ({ host, port, weight }: SrvRecord): string => `${host} ${port} ${weight}`

/** The name that is looked up for the host of a record: it is complete. */
export const lookedUpFor = ({ host }: SrvRecord): string => (/^[0-9.]+$|:/.test(host) ? host : `${host}.`)

/**
 * What is known of a name now, from its records and what is known of their hosts; `before` is what was known. `isAsked` says whether a
 * host was looked up at least once.
 */
export function placesOf(
  before: NameState,
  { records, unused, from, fault, failures, nextMs }: SrvState,
  hostOf: (host: string) => NameState,
  isAsked: (host: string) => boolean,
): NameState {
  const known = { ...before, from, fault, failures, nextMs }
  if (records.length === 0) return known
  const hosts = records.map((record) => ({ record, state: hostOf(lookedUpFor(record)) }))
  const failing = hosts.filter(({ state }) => state.fault !== null)
  const failingHosts = [...new Set(failing.map(({ record }) => record.host))]
  const all = failing[0] === undefined ? null : inWords(failing[0].record, failing[0].state.fault!)
  const isHalf = !hosts.every(({ record }) => isAsked(lookedUpFor(record)))
  if (isHalf && before.addresses.length > 0) return { ...known, failingHosts }
  const first = hosts.find(({ state }) => state.addresses.length > 0)?.record.priority
  if (first === undefined) return { ...known, failingHosts, fault: fault ?? all }
  const used = hosts.filter(({ record }) => record.priority === first)
  const places = merged(used.flatMap(({ record, state }) => state.addresses.map((at) => placeOf(record, at))))
  const addresses = places.slice(0, ADDRESSES_MAX)
  const more = used.reduce((sum, { state }) => sum + state.unused, 0)
  const cut = unused.filter(({ priority }) => priority === first).length
  return { ...known, failingHosts, addresses, unused: places.length - addresses.length + more + cut }
}

const inWords = ({ host }: SrvRecord, { reason, message }: NameFault): NameFault => ({
  reason,
  message: `${host}: ${message}`,
})

function placeOf({ host, port, weight }: SrvRecord, { address: ip, alternate }: Address): Address {
  return { address: hostAndPort(ip, port), alternate, srv: { host, ip, port, weight } }
}

/** Each place once, in order, with the weights of all records that lead there, as they count. */
function merged(places: readonly Address[]): Address[] {
  const byAddress = new Map<string, Address>()
  for (const place of places) {
    const known = byAddress.get(place.address)
    const weight = place.srv!.weight + (known?.srv?.weight ?? 0)
    byAddress.set(place.address, weighed(known ?? place, weight))
  }
  const sorted = [...byAddress.values()].toSorted((a, b) => (a.address < b.address ? -1 : 1))
  const weights = sorted.map(({ srv }) => srv!.weight)
  const divisor = weights.reduce(greatestCommonDivisor, 0)
  // All of them 0: they say nothing.
  if (divisor === 0) return sorted.map((place) => weighed(place, 1))
  const factor = weights.includes(0) ? LEAST : 1
  return sorted.map((place, at) => weighed(place, Math.max(1, (weights[at] / divisor) * factor)))
}

const weighed = (place: Address, weight: number): Address => ({ ...place, srv: { ...(place.srv as SrvPlace), weight } })

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}
