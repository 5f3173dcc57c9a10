/**
 * The metrics of tunnels and streams that are let go (dataplane/departures/departures.ts), by pool: of pools that have ever let any go, so others
 * have no series.
 */
import { DEPARTURE, PACE_STATES, slowestPace, sumDepartures } from './departures.ts'
import type { Family, Sample, Scrape, ScrapedPool } from './family.ts'
import { perPool } from './per-pool.ts'

type Field = keyof typeof DEPARTURE

const NOTHING = Object.freeze({})

/** The sum of a field over the targets of a pool, and what a process that was replaced lets go of it. */
const sumOf = ({ memory, letGoBefore }: Scrape, { slots, service, pool }: ScrapedPool): ((field: Field) => number) => {
  const before: Readonly<Partial<Record<Field, number>>> = letGoBefore(service, pool) ?? NOTHING
  return (field) => sumDepartures(memory, slots, DEPARTURE[field]) + (before[field] ?? 0)
}

/** A family over one field, for the pools where one of these was ever counted. */
function ofPools(name: string, type: 'counter' | 'gauge', help: string, field: Field, where: readonly Field[]): Family {
  const read = (scrape: Scrape, pool: ScrapedPool): Sample[] => {
    const sum = sumOf(scrape, pool)
    return where.some((it) => sum(it) > 0) ? [{ value: sum(field) }] : []
  }
  return { name, type, help, read: perPool(read) }
}

const LET_GO: readonly Field[] = ['left', 'closed']

const pace: Family = {
  name: 'turnout_tunnels_pace',
  type: 'gauge',
  help: '1 for how tunnels of the pool are closed now: steady, slowed since reconnects are refused, or stopped since nobody would take them.',
  read: perPool((scrape, pool) => {
    if (sumOf(scrape, pool)('left') === 0) return []
    const before = scrape.letGoBefore(pool.service, pool.pool)?.state ?? 0
    const state = Math.max(before, slowestPace(scrape.memory, pool.slots))
    return [{ value: 1, labels: { state: PACE_STATES[state] } }]
  }),
}

export const DEPARTURE_FAMILIES: readonly Family[] = [
  ofPools(
    'turnout_tunnels_left',
    'gauge',
    'Tunnels and streams that are still to be closed, since their visitors come to another place.',
    'left',
    LET_GO,
  ),
  ofPools(
    'turnout_tunnels_let_go_total',
    'counter',
    'Tunnels and streams that were closed for that.',
    'closed',
    LET_GO,
  ),
  ofPools(
    'turnout_tunnels_cut_total',
    'counter',
    'Those of them that were cut: no place was known to end them at, or none came in time, or their client took nothing any more.',
    'cut',
    LET_GO,
  ),
  ofPools(
    'turnout_tunnels_moved_total',
    'counter',
    'Those of them whose visitors have come to another target.',
    'moved',
    LET_GO,
  ),
  ofPools(
    'turnout_tunnels_refused_total',
    'counter',
    'Requests to open a tunnel that a target has answered by a failure.',
    'refused',
    ['refused'],
  ),
  pace,
]
