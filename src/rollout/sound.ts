/** What holds of a rollout at every step of it. Pure. */

import { weightAt } from '../config/strategy.ts'
import { isBack, isOver, type Rollout } from './rollout.ts'

/** Throws when a rollout cannot have become `next`: a bug of ours. */
export function assertSound(from: Rollout, next: Rollout): void {
  const fault = soundFault(from, next)
  if (fault !== null) throw new Error(fault)
}

/** Why a rollout cannot have become `next`; null when it can. */
export function soundFault(from: Rollout, next: Rollout): string | null {
  const { state, weight, plan, at } = next
  const allowed = [0, 100, ...(at < 0 ? [] : [weightAt(plan, at)]), ...(at < 1 ? [] : [weightAt(plan, at - 1)])]
  const isOnTheWay = isBack(next)
  if (!allowed.includes(weight)) return `a rollout at step ${at} has the weight ${weight}`
  if (weight === 100 && next.work !== 'afterBake' && plan.keep > 0) return 'nothing is left to compare with'
  if (isOnTheWay && weight !== 0) return 'a rollout on its way back gives traffic to the new version'
  if (from.state === 'rollingBack' && !isOnTheWay) return `a rollback has become ${state}`
  if (isOver(from) && from !== next) return `a rollout that is over has become ${state}`
  if (state === 'done' && weight !== 100) return 'a rollout is done before all traffic has moved'
  return null
}
