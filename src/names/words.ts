/** What is known of names, in words. Pure. */
import { firstFew } from '../config/first-few.ts'
import { ADDRESSES_MAX, type Address, SRV } from './address.ts'
import type { NameState } from './state.ts'

/** What is known of a name, as one sentence for people. */
export function messageOf(host: string, { addresses, fault, unused }: NameState): string {
  const list = addressesInWords(addresses)
  if (fault === null) {
    const what = host.startsWith(SRV) ? 'records and addresses' : 'addresses'
    const more = `; ${unused} more of its ${what} are not used: ${ADDRESSES_MAX} at most`
    return `${host} is at ${list}${unused === 0 ? '' : more}`
  }
  const what =
    addresses.length === 0 ? 'it has no address' : `${list} ${addresses.length === 1 ? 'stays' : 'stay'} in use`
  return `${host} cannot be resolved: ${fault.message}; ${what}`
}

/** Addresses for people, the first few of many. */
function addressesInWords(addresses: readonly Address[]): string {
  const all = addresses.map(({ address, alternate }) => (alternate === null ? address : `${address} (${alternate})`))
  return firstFew(all, 8)
}
