/** The metrics of the files that requests are looked up in (lookups/lookups.ts), by the name that the config gives each. */
import type { ToldLookup } from '../lookups/lookup-file.ts'
import type { Family } from './family.ts'

const gauge = (name: string, help: string, of: (lookup: ToldLookup) => number): Family => ({
  name,
  type: 'gauge',
  help,
  read: ({ lookups }) =>
    lookups.map((lookup) => ({ value: of(lookup), labels: { kind: lookup.kind, file: lookup.name } })),
})

/** In the order of the exposition. */
export const LOOKUP_FAMILIES: readonly Family[] = [
  gauge(
    'turnout_lookup_entries',
    'Visitors in a file that conditions name; of a database of countries the nodes of its tree; of a JWKS its keys.',
    ({ entries }) => entries,
  ),
  gauge(
    'turnout_lookup_failing',
    'Whether what requests are looked up in cannot be used as it is now; what was read of it before stays in use.',
    ({ fault }) => Number(fault !== null),
  ),
]
