/**
 * While a rollout runs, its service is its own: nobody else moves the split or changes what the pools hold. Pure, and like leaves-nobody.ts
 * it compares what was with what would be, so that no kind of change can be forgotten: the file and a restored revision neither.
 *
 * States are people's all the while, but for the last ready target of a pool that the rollout tries, or would go back to: with
 * force that goes too. A rolling release sets the states of its targets itself, and leaves-nobody.ts looks at those.
 */
import type { Change } from '../change.ts'
import { equalJson, own } from '../config/record.ts'
import type { Weights } from '../config/schema.ts'
import { TurnoutError } from '../errors.ts'
import type { PoolIntent } from '../table/status.ts'
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

/** Throws `conflict` when the change would leave a pool that a rollout needs without a target that is ready. */
export function assertTriedReady(before: Content, after: Content, change: Change, changed: readonly string[]): void {
  if (change.kind === 'shift') return
  for (const name of changed) {
    const [was, is] = [own(before.intents, name), own(after.intents, name)]
    if (was?.trial === undefined || was.trial.targets !== undefined || is === undefined) continue
    const shares = { ...was.previous?.weights, ...positive(splitOf(before.services[name])) }
    for (const [pool, intent] of Object.entries(was.pools)) {
      const isTried = pool === was.trial.pool
      if (!(isTried || own(shares, pool)) || !isReady(intent) || isReady(own(is.pools, pool))) continue
      const why = `the rollout that runs ${isTried ? 'tries it' : 'goes back to it'}`
      throw new TurnoutError(
        'conflict',
        `Pool ${pool} of ${name} would have no ready target any more, and ${why}. Nothing has changed; with force it is done all the same.`,
      )
    }
  }
}

const positive = (weights: Weights): Weights =>
  Object.fromEntries(Object.entries(weights).filter(([, weight]) => weight > 0))

const isReady = (pool: PoolIntent | undefined): boolean =>
  pool?.admin === 'ready' && Object.values(pool.targets).some(({ admin }) => admin === 'ready')
