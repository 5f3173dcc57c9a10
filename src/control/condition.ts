/** What a change asks for that is to be made only if nobody was faster (`If-Match`, `If-None-Match`). Pure. */
import type { Change, ChangeOptions, Snapshot } from '../change.ts'
import { own } from '../config/record.ts'
import { TurnoutError } from '../errors.ts'
import { expectRevision } from '../if-match.ts'
import { touchedBy } from './touched.ts'

/** Throws `stale_revision` when what it touches has changed since, or when what it puts is there already, or is not there yet. */
export function expectCondition(present: Snapshot, change: Change, { ifMatch, existing }: ChangeOptions): void {
  expectRevision(present, touchedBy(change), ifMatch)
  if (existing === undefined || (change.kind !== 'service.put' && change.kind !== 'pool.put')) return
  const spec = own(present.services, change.service)
  const isThere = spec !== undefined && (change.kind === 'service.put' || Object.hasOwn(spec.pools, change.pool))
  if (isThere === existing) return
  const what = change.kind === 'service.put' ? `service ${change.service}` : `pool ${change.pool} of ${change.service}`
  throw new TurnoutError(
    'stale_revision',
    isThere
      ? `There is a ${what} already, and by If-None-Match it was to be new.`
      : `There is no ${what} yet, and by If-Match it was to be there.`,
  )
}
