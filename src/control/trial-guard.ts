/**
 * While a rollout runs, its service is its own: nobody else moves the split or changes what the pools hold. Pure, and like leaves-nobody.ts
 * it compares what was with what would be, so that no kind of change can be forgotten: the file and a restored revision neither.
 */
import type { Change } from '../change.ts'
import { equalJson, own } from '../config/record.ts'
import { TurnoutError } from '../errors.ts'
import { type Content, holdsOther, splitOf } from './reconcile.ts'

/** Throws `conflict` when the change is not the rollout's and touches what it works with. */
export function assertNotTried(before: Content, after: Content, change: Change, changed: readonly string[]): void {
  if (change.kind === 'shift') return
  for (const name of changed) {
    const [was, is] = [own(before.services, name), own(after.services, name)]
    if (own(before.intents, name)?.trial === undefined || was === undefined) continue
    const touches =
      is === undefined ||
      !equalJson(splitOf(was), splitOf(is)) ||
      Object.entries(was.pools).some(([pool, old]) => {
        const now = own(is.pools, pool)
        return now === undefined || holdsOther(old, now)
      })
    if (touches || own(after.intents, name)?.release !== own(before.intents, name)?.release) {
      throw new TurnoutError('conflict', `A rollout of ${name} is running. Abort it first, or wait for its end.`)
    }
  }
}
