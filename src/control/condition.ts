/** What a change asks for that is to be made only if nobody was faster (`If-Match`, `If-None-Match`). Pure. */
import type { Change, ChangeOptions, Snapshot } from '../change.ts'
import { own } from '../config/record.ts'
import { TurnoutError } from '../errors.ts'
import { expectRevision } from '../if-match.ts'
import { touchedBy } from './touched.ts'

/** Throws `stale_revision` when what it touches has changed since, or when what it puts is there already, or is not there yet. */
export function expectCondition(present: Snapshot, change: Change, { ifMatch, existing }: ChangeOptions): void {
  // A line says how a rollout stands, which may have moved without any service.
  expectRevision(present, change.kind === 'rollout' ? null : touchedBy(change), ifMatch)
  const put = existing === undefined ? null : putBy(present, change)
  if (put === null || put.isThere === existing) return
  throw new TurnoutError(
    'stale_revision',
    put.isThere
      ? `There is a ${put.what} already, and by If-None-Match it was to be new.`
      : `There is no ${put.what} yet, and by If-Match it was to be there.`,
  )
}

/** What such a change puts, and whether there is one already; null for what puts nothing. */
function putBy(present: Snapshot, change: Change): { readonly what: string; readonly isThere: boolean } | null {
  const spec = 'service' in change ? own(present.services, change.service) : undefined
  switch (change.kind) {
    case 'service.put':
      return { what: `service ${change.service}`, isThere: spec !== undefined }
    case 'pool.put':
      return {
        what: `pool ${change.pool} of ${change.service}`,
        isThere: spec !== undefined && Object.hasOwn(spec.pools, change.pool),
      }
    case 'split':
      return spec === undefined ? null : { what: `split of ${change.service}`, isThere: true }
    case 'rules':
      return spec === undefined ? null : { what: `list of rules of ${change.service}`, isThere: true }
    default:
      return null
  }
}
