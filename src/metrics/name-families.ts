/** The metrics of the lookups of names (names/names.ts). Reasons are a fixed list; no name is a label. */

import type { NameCounts } from '../names/names.ts'
import type { Family, Sample, Scrape } from './family.ts'

function single(name: string, type: 'counter' | 'gauge', help: string, of: (names: NameCounts) => number): Family {
  const read = ({ names }: Scrape): Sample[] => (names === null ? [] : [{ value: of(names) }])
  return { name, type, help, read }
}

/** In the order of the exposition. */
export const NAME_FAMILIES: readonly Family[] = [
  single('turnout_dns_lookups_total', 'counter', 'Lookups of names of targets.', ({ lookups }) => lookups),
  {
    name: 'turnout_dns_failures_total',
    type: 'counter',
    help: 'Lookups of names of targets that found no address, by reason.',
    read: ({ names }) =>
      Object.entries(names?.failures ?? {}).map(([reason, value]) => ({ value, labels: { reason } })),
  },
  single('turnout_dns_names', 'gauge', 'Names of targets.', ({ names }) => names),
  single(
    'turnout_dns_names_failing',
    'gauge',
    'Names of targets whose last lookup found no address; what was known of them stays in use.',
    ({ failing }) => failing,
  ),
  single(
    'turnout_dns_addresses_unused',
    'gauge',
    'Addresses of names of targets beyond the number that is used.',
    ({ unusedAddresses }) => unusedAddresses,
  ),
]
