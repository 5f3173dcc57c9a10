/**
 * What a hold is for, looked at before anybody is held: a switch that would be refused holds nobody.
 *
 * The switch is judged as if it were made in the very step by which the hold begins. So whoever waits for a pool to be proven waits before
 * the hold (waiting.ts), and nobody is held for that time.
 */
import type { Change } from '../change.ts'
import { applyChange, type ChangeTools } from './apply.ts'
import { assertReleasesKept, type Judged } from './guards.ts'
import { changedNames } from './state.ts'
import { touchedBy } from './touched.ts'

/** The switch that a hold is for, as it is to be judged; none for another hold. Throws what refuses it already. */
export function foreseen(
  judged: Judged,
  { to }: Extract<Change, { kind: 'hold' }>,
  tools: ChangeTools,
): readonly Judged[] {
  if (to === undefined) return []
  const change: Change = { kind: 'switch', to }
  const after = applyChange(judged.before, change, judged.known.nowMs, tools)
  const next = { ...judged, after, change, changed: changedNames(judged.before, after, touchedBy(change)) }
  assertReleasesKept(next)
  return [next]
}
