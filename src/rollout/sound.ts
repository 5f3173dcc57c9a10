/** What holds of a rollout at every step of it. Pure. */

import { weightAt } from '../config/strategy.ts'
import { isBack, isOver, type Rollout } from './rollout.ts'

/** Throws when a rollout cannot have become `next`: a bug of ours. */
export function assertSound(from: Rollout, next: Rollout): void {
  const { state, weight, plan, at } = next
  const allowed = [0, 100, ...(at < 0 ? [] : [weightAt(plan, at)]), ...(at < 1 ? [] : [weightAt(plan, at - 1)])]
  const isOnTheWay = isBack(next)
  if (!allowed.includes(weight)) throw new Error(`a rollout at step ${at} has the weight ${weight}`)
  if (weight === 100 && next.work !== 'afterBake' && plan.keep > 0) throw new Error('nothing is left to compare with')
  if (isOnTheWay && weight !== 0) throw new Error('a rollout on its way back gives traffic to the new version')
  if (from.state === 'rollingBack' && !isOnTheWay) throw new Error(`a rollback has become ${state}`)
  if (isOver(from) && from !== next) throw new Error(`a rollout that is over has become ${state}`)
  if (state === 'done' && weight !== 100) throw new Error('a rollout is done before all traffic has moved')
}
