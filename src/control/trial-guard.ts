/**
 * While a rollout runs, its service is its own: nobody else moves the split or changes what the pools hold. Pure, and like leaves-nobody.ts
 * it compares what was with what would be, so that no kind of change can be forgotten: the file and a restored revision neither.
 *
 * States are people's all the while, but for the last ready target of a pool that the rollout tries, or would go back to: with
 * force that goes too. What is tried stays what it was: a target comes to that pool, or is ready for the first time, only where the rollout
 * asks it for its version (gates/still-version.ts), else by force; so it cannot be replaced one by one, or by maintenance. Some may go. A rolling release sets the states of its targets itself, and leaves-nobody.ts looks at those.
 */
import type { Change } from '../change.ts'
import { equalJson, own } from '../config/record.ts'
import type { Weights } from '../config/schema.ts'
import { ANYWAY, TurnoutError } from '../errors.ts'
import type { PoolIntent } from '../table/status.ts'
import { type Content, holdsOther, splitOf } from './reconcile.ts'

/** Throws `conflict` when the change is not the rollout's and touches what it works with. */
export function assertNotTried(before: Content, after: Content, change: Change, changed: readonly string[]): void {
  if (change.kind === 'shift') return
  for (const name of changed) {
    if (own(before.intents, name)?.trial === undefined || own(before.services, name) === undefined) continue
    if (movesRelease(before, after, name)) {
      throw new TurnoutError('conflict', `A rollout of ${name} is running. Abort it first, or wait for its end.`)
    }
  }
}

/** Whether the service would send otherwise, or its pools would hold something else. It is there before. */
export function movesRelease(before: Content, after: Content, name: string): boolean {
  const [was, is] = [before.services[name], own(after.services, name)]
  if (is === undefined || !equalJson(splitOf(was), splitOf(is))) return true
  const isMoved = Object.entries(was.pools).some(([pool, old]) => {
    const now = own(is.pools, pool)
    return now === undefined || holdsOther(old, now)
  })
  return isMoved || own(after.intents, name)?.release !== own(before.intents, name)?.release
}

/** Throws `conflict` when the change would leave a pool that a rollout needs without a target that is ready. */
export function assertTriedReady(before: Content, after: Content, change: Change, changed: readonly string[]): void {
  if (change.kind === 'shift') return
  for (const name of changed) {
    const [was, is] = [own(before.intents, name), own(after.intents, name)]
    if (was?.trial === undefined || was.trial.targets !== undefined || is === undefined) continue
    const back = positive(was.trial.before ?? was.previous?.weights ?? {})
    const shares = { ...back, ...positive(splitOf(before.services[name])) }
    for (const [pool, intent] of Object.entries(was.pools)) {
      const isTried = pool === was.trial.pool
      if (!(isTried || own(shares, pool)) || !isReady(intent) || isReady(own(is.pools, pool))) continue
      const why = `the rollout that runs ${isTried ? 'tries it' : 'goes back to it'}`
      throw new TurnoutError(
        'conflict',
        `Pool ${pool} of ${name} would have no ready target any more, and ${why}. ${ANYWAY}`,
      )
    }
  }
}

/** Throws `conflict` when targets would come to a pool that is tried, and nobody could tell that they are what is tried. */
export function assertSameTried(before: Content, after: Content, change: Change, changed: readonly string[]): void {
  if (change.kind === 'shift') return
  for (const name of changed) {
    const trial = own(before.intents, name)?.trial
    const [was, is] = [own(before.services, name), own(after.services, name)]
    if (trial === undefined || was === undefined || is === undefined) continue
    const { pool, targets, asks = false } = trial
    const [old, now] = [was.pools[pool].targets, own(is.pools, pool)?.targets ?? []]
    if (targets !== undefined && !equalJson(old.toSorted(), now.toSorted())) {
      const why = `The rollout of ${name} that runs replaces the targets of ${pool} one by one, so none comes or goes meanwhile.`
      throw new TurnoutError('conflict', `${why} ${ANYWAY}`)
    }
    if (targets !== undefined || (asks && was.pools[pool].version !== '')) continue
    const known = trial.tried ?? old
    const readyBefore = readyIn(before, name, pool)
    const come = readyIn(after, name, pool).find(
      (url) => !readyBefore.includes(url) && !(old.includes(url) && known.includes(url)),
    )
    if (come === undefined) continue
    const why = `${come} would come to pool ${pool} of ${name} while a rollout tries that, and nobody could tell that it has the same version: rollout.announces, and a version of the pool, would.`
    throw new TurnoutError('conflict', `${why} ${ANYWAY}`)
  }
}

/** The targets of a pool that are ready, and their pool is. */
export function readyIn({ intents }: Content, service: string, pool: string): string[] {
  const intent = own(own(intents, service)?.pools ?? {}, pool)
  if (intent?.admin !== 'ready') return []
  return Object.entries(intent.targets).flatMap(([url, { admin }]) => (admin === 'ready' ? [url] : []))
}

const positive = (weights: Weights): Weights =>
  Object.fromEntries(Object.entries(weights).filter(([, weight]) => weight > 0))

const isReady = (pool: PoolIntent | undefined): boolean =>
  pool?.admin === 'ready' && Object.values(pool.targets).some(({ admin }) => admin === 'ready')
