/** The metrics of maintenance, by service: only of services that are in it, or have been, so others have no series. */
import type { Family, Sample, Scrape } from './family.ts'
import { pagesGiven } from './maintenance.ts'

function ofMaintenance(
  name: string,
  type: 'counter' | 'gauge',
  help: string,
  read: (given: number, isOn: boolean) => number,
): Family {
  const samples = ({ snapshot, memory }: Scrape): Sample[] =>
    Object.entries(snapshot.status).flatMap(([service, { maintenance, slot }]) => {
      const given = pagesGiven(memory, slot)
      const isOn = maintenance !== undefined
      return isOn || given > 0 ? [{ value: read(given, isOn), sharedLabels: { service } }] : []
    })
  return { name, type, help, read: samples }
}

/** In the order of the exposition. */
export const MAINTENANCE_FAMILIES: readonly Family[] = [
  ofMaintenance('turnout_maintenance', 'gauge', 'Whether a service is in maintenance.', (_, isOn) => Number(isOn)),
  ofMaintenance(
    'turnout_maintenance_answers_total',
    'counter',
    'Requests that were answered by the maintenance page of a service.',
    (given) => given,
  ),
]
