/** Names for tests in which every target is an address: each stands for itself, and nobody is asked. */
import { type Address, hostOf } from '../../src/names/address.ts'
import type { Names } from '../../src/names/names.ts'
import { type NameState, UNASKED } from '../../src/names/state.ts'

/** The one address of a target; a name is taken for its own address too. */
export const literalAddresses = (url: string): readonly Address[] => [{ address: hostOf(url), alternate: null }]

/** In the place of `Names`. */
export const literalNames: Pick<Names, 'of' | 'addressesOf' | 'learn'> = {
  of: (host): NameState => ({ ...UNASKED, addresses: [{ address: host, alternate: null }], fault: null }),
  addressesOf: literalAddresses,
  learn: async () => {},
}
