/**
 * The end of a rollout, as it stands in the intent of its service. Pure.
 *
 *   tried ── ends: done ──► done, noted ── ends: back, of the same rollout, and nothing has moved since ──► back
 *     └───── ends: back ──► back                └── any other end ──► nothing moves
 *
 * Once a rollout has ended its service is everybody's: whoever ends it again, since it was not known to have, moves nothing. But its last step may
 * have been on its way when somebody aborted it, and an abort that was answered means that traffic is back. So what is done is noted, and
 * forgotten as soon as the split moves (reconcile.ts) or the release is another one.
 */
import type { Change, PoolShift } from '../change.ts'
import type { ServiceSpec } from '../config/schema.ts'
import type { ServiceIntent } from '../table/status.ts'
import type { Trial } from '../table/types.ts'

type Shift = Extract<Change, { kind: 'shift' }>
type Intent = Pick<ServiceIntent, 'release' | 'trial' | 'done'>

/** Whether the shift still moves anything; one that ends nothing always does. */
export function mayMove({ trial, done, release }: Intent, { ends, rollout }: Shift): boolean {
  if (ends === undefined || trial !== undefined) return true
  return ends === 'back' && done?.rollout === rollout && done.release === release
}

/** Whether targets of one pool are replaced, or were last. */
const isInPlace = ({ trial, done }: Intent): boolean =>
  trial === undefined ? done?.pool !== undefined : trial.targets !== undefined

/** The end by which the split has moved: where nothing but targets of one pool was replaced there is none, so nobody's pin has to end. */
export const splitEnd = (intent: Intent, { ends }: Pick<Shift, 'ends'>): Shift['ends'] =>
  isInPlace(intent) ? undefined : ends

/** What the shift does to the pool itself: after what is done the way back gives it its version of before. */
export const poolShiftAfter = ({ trial, done }: Intent, { ends, pool }: Shift): PoolShift | undefined =>
  ends === 'back' && trial === undefined && done?.pool !== undefined ? { ...pool, ...done.pool } : pool

/** The note of a rollout that is done now, with this release; what it has tried, and `before`, the service, are as before its last shift. */
export function doneBy(
  { rollout }: Shift,
  release: string,
  { pool: name, targets }: Trial,
  before: ServiceSpec,
): ServiceIntent['done'] {
  return { rollout, release, ...(targets !== undefined && { pool: { name, version: before.pools[name].version } }) }
}
