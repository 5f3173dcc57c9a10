/**
 * What is known of one name of a target, from one lookup to the next. Pure: the resolver asks, this file decides.
 *
 * Invariants:
 * - A failure takes nothing away: what was known stays in use until an answer has other addresses. So a name that had an
 *   address always has one, whatever becomes of the name server. That goes for "no such name" too, which is what a name server
 *   says that has lost its records.
 * - An answer replaces what was known. A family that could not be asked keeps its addresses, if they were those of the same
 *   complete name.
 * - `fault` is null exactly when the last lookup has found addresses.
 */
import { type Chosen, chooseAddresses, type Families } from './address.ts'

/** Why a lookup has found nothing; also the label of its metric. */
export type FaultReason = 'not_found' | 'no_address' | 'timeout' | 'refused' | 'server_failure' | 'other'

/** A lookup without an address. */
export interface NameFault {
  readonly reason: FaultReason
  /** For people: `no name server answered in time`. */
  readonly message: string
}

/** What a lookup has found of one family; none at all is an empty list, null that it could not be asked. */
export interface FamilyAnswer {
  readonly addresses: readonly string[]
  /** Seconds for which it may be kept. */
  readonly ttlS: number
}

/** What came of one lookup. */
export type Lookup =
  | {
      /** The complete name that was found, or where else the addresses are from. */
      readonly from: string
      readonly v4: FamilyAnswer | null
      readonly v6: FamilyAnswer | null
    }
  | { readonly fault: NameFault }

/** What is known of a name. */
export interface NameState extends Chosen {
  readonly found: Families
  readonly from: string | null
  readonly fault: NameFault | null
  /** Lookups in a row that have found nothing. */
  readonly failures: number
  /** Time until the next lookup. */
  readonly nextMs: number
  /** Of SRV records: hosts of them whose last lookup has found nothing. */
  readonly failingHosts?: readonly string[]
}

/** The least and the longest time between two lookups of a name that is found; in between, its own TTL counts. */
export const TTL_MS_MIN = 5_000
export const TTL_MS_MAX = 60_000
/** Time to the second try; it doubles with each. What is not there yet is often just being started. */
const RETRY_MS_MIN = 500
const RETRY_MS_MAX = 10_000

/** A name that nobody has asked for yet. */
export const UNASKED: NameState = Object.freeze({
  found: { v4: [], v6: [] },
  from: null,
  addresses: [],
  unused: 0,
  fault: { reason: 'other', message: 'it is still being looked up' } as const,
  failures: 0,
  nextMs: 0,
})

/** The state after one more lookup; `prefersV6` as in `chooseAddresses`. */
export function onLookup(state: NameState, lookup: Lookup, prefersV6: boolean): NameState {
  if ('fault' in lookup) return { ...state, ...onFault(state.failures, lookup.fault) }
  const { from, v4, v6 } = lookup
  const kept: Families = from === state.from ? state.found : UNASKED.found
  const found = { v4: v4?.addresses ?? kept.v4, v6: v6?.addresses ?? kept.v6 }
  const chosen = chooseAddresses(found, prefersV6)
  return { ...chosen, found, from, fault: null, failures: 0, nextMs: ttlMs([v4, v6]) }
}

/** What one more failure changes of a state. */
export function onFault(before: number, fault: NameFault): Pick<NameState, 'fault' | 'failures' | 'nextMs'> {
  const failures = before + 1
  return { fault, failures, nextMs: Math.min(RETRY_MS_MIN * 2 ** Math.min(failures - 1, 10), RETRY_MS_MAX) }
}

/** The shortest TTL of what was found; a family that could not be asked is asked again soon. */
function ttlMs(families: readonly (FamilyAnswer | null)[]): number {
  const ttls = families.map((family) => {
    if (family === null) return TTL_MS_MIN
    return family.addresses.length === 0 ? TTL_MS_MAX : family.ttlS * 1_000
  })
  return Math.min(Math.max(Math.min(...ttls), TTL_MS_MIN), TTL_MS_MAX)
}

/** Whether requests would go elsewhere by the one than by the other. */
export function sameAddresses(a: NameState, b: NameState): boolean {
  const keys = ({ addresses }: NameState) =>
    addresses.map(({ address, alternate, srv }) => `${address} ${alternate} ${srv?.host} ${srv?.weight}`)
  return keys(a).join() === keys(b).join()
}
