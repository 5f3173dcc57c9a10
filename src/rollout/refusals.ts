/** Why a person's verb is not followed, in words. Pure. */
import { TurnoutError } from '../errors.ts'
import { isOver, mayBeForced } from './rollout.ts'
import type { ToldRollout } from './told.ts'

/** Why a process begins and steers none. */
export const THERE =
  'another Turnout process on this store runs the rollouts, so send it there (of several instances on one Redis `turnout status` names the one that leads; an abort alone is passed on); when that one ends, this one takes them up'

/** It is over, or another process runs it. */
export const notOurs = (found: ToldRollout): TurnoutError =>
  new TurnoutError('conflict', `Rollout ${found.id} is ${isOver(found) ? 'over' : `not run here: ${THERE}`}.`)

/** The state that it is in does not take the verb. */
export function notNow(refused: string, { next }: ToldRollout): TurnoutError {
  const waitsFor = next?.waitsFor ?? ''
  const why = waitsFor === '' ? '' : ` It waits for ${waitsFor}.`
  const hint = mayBeForced(waitsFor) ? ' With force it is promoted all the same.' : ''
  return new TurnoutError('conflict', `Not now: ${refused}.${why}${hint}`)
}
