/**
 * All that may refuse a change for what it would do, in order: a rollout that runs, a switch under a hold, a standby that is kept, who would be left to answer, and
 * whether that one carries it. Each says why in words; `force` does it all the same, but for what belongs to a rollout or to such a switch.
 */
import type { Change, ChangeOptions, ChangeResult } from '../change.ts'
import { isTurnoutError } from '../errors.ts'
import { assertCarried, type Known } from './carried.ts'
import { assertNotUndone } from './ended.ts'
import { assertAnswered } from './leaves-nobody.ts'
import type { Content } from './reconcile.ts'
import { assertStandbyKept } from './standby-guard.ts'
import { assertNotSwitched } from './switch-guard.ts'
import { assertNotTried, assertSameTried, assertTriedReady } from './trial-guard.ts'

/** A change as it is judged. */
export interface Judged {
  readonly before: Content
  readonly after: Content
  readonly change: Change
  /** Services that it touches. */
  readonly changed: readonly string[]
  readonly options: Pick<ChangeOptions, 'force' | 'prune'>
  readonly known: Known
}

/** Throws `conflict` when the change takes away what a rollout or a switch works with, or leaves to its successor. */
export function assertReleasesKept({ before, after, change, changed, options, known }: Judged): void {
  assertNotTried(before, after, change, changed)
  assertNotSwitched(before, after, change, changed, known.nowMs, options.force === true)
  if (options.force === true) return
  assertNotUndone(before, change, known.nowMs)
  assertStandbyKept(before, after, change, changed, known.nowMs)
  assertTriedReady(before, after, change, changed)
  assertSameTried(before, after, change, changed)
}

/** Throws `conflict` when traffic would be left to nobody, and `over_capacity` when it would be left to too few. */
export function assertServed({ before, after, change, changed, options, known }: Judged): void {
  assertAnswered(before, after, change, known.nowMs, known.addressesOf, options)
  if (options.force !== true) assertCarried(before, after, change, changed, known)
}

/** What would come of the change, and why it would be refused for what it would do, or null. */
export function dryRunOf(judged: Judged): NonNullable<ChangeResult['dryRun']> {
  const { services, intents } = judged.after
  try {
    assertReleasesKept(judged)
    assertServed(judged)
    return { services, intents, refused: null }
  } catch (error) {
    if (isTurnoutError(error, 'conflict') || isTurnoutError(error, 'over_capacity'))
      return { services, intents, refused: error.message }
    throw error
  }
}
