/**
 * While a switch under a hold is under way, its service is its own: what would have it refused in the end is refused now, for by then
 * its hook has migrated what the old version uses. Pure, and like leaves-nobody.ts it compares what was with what would be.
 *
 * Whoever must act all the same releases the service, which calls the switch off, or removes it.
 */
import type { Change } from '../change.ts'
import { own } from '../config/record.ts'
import { ANYWAY, TurnoutError } from '../errors.ts'
import { holdOfSwitch } from './holding.ts'
import type { Content } from './reconcile.ts'
import { movesRelease, readyIn } from './trial-guard.ts'

/** Throws `conflict` when the change is not that switch and moves what it moves; without `force` also when a ready target would not be so. */
export function assertNotSwitched(
  before: Content,
  after: Content,
  change: Change,
  changed: readonly string[],
  nowMs: number,
  force: boolean,
): void {
  for (const name of changed) {
    const [was, is] = [own(before.intents, name), own(after.intents, name)]
    if (was === undefined || is === undefined) continue
    const hold = holdOfSwitch(was, nowMs)
    if (hold === null || (change.kind === 'switch' && change.hold === hold.id)) continue
    const why = `A switch of ${name} under a hold is under way`
    if (movesRelease(before, after, name) || is.trial?.rollout !== was.trial?.rollout)
      throw new TurnoutError('conflict', `${why}. Wait for its end, or release it, which calls the switch off.`)
    if (force) continue
    const lost = Object.keys(was.pools).flatMap((pool) => {
      const ready = readyIn(after, name, pool)
      return readyIn(before, name, pool).filter((url) => !ready.includes(url))
    })
    if (lost.length > 0)
      throw new TurnoutError('conflict', `${why}, and ${lost[0]} would not be ready any more. ${ANYWAY}`)
  }
}
