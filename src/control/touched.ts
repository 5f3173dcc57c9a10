/**
 * Which services a change may touch, known before it is made: so it costs what those have, and the thousands beside them next to nothing.
 * Pure. A name too many does no harm; what is not of some named services is of all.
 */
import type { Change } from '../change.ts'

/** The names of the services that the change may touch, whether they are there or not; null where it may be any. */
export function touchedBy(change: Change | { readonly kind: 'restore' }): readonly string[] | null {
  switch (change.kind) {
    case 'restore':
    case 'file':
      return null
    case 'switch':
      return Object.keys(change.to)
    case 'hold':
    case 'release':
      return change.services
    default:
      return [change.service]
  }
}
