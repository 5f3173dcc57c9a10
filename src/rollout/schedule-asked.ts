/**
 * When a rollout asks its schedule, and whether what it gives next fits; and who may let it go on all the same. Pure.
 *
 * Both are asked by the work before each step, and before all traffic (gates/gates.ts). A pause or a hold may last into a freeze, or until
 * there is more traffic: what has passed before it is not the last word then, and they are asked again, alone.
 */
import type { Rollout, Work } from './rollout.ts'

/** Work after which the new version is given more at once. */
const GIVES_MORE: readonly Work[] = ['beforeStep', 'draining', 'afterBake']
/** Work that itself gives it more, when it is tried anew. */
const IS_MORE: readonly Work[] = ['draining', 'replacing']
/** Work that waits for them. */
const ASKS: readonly Work[] = ['preflight', 'beforeStep', 'afterBake']

/** Whether it has anything to ask. */
export const asks = ({ policy }: Pick<Rollout, 'policy'>): boolean =>
  policy.isScheduled === true || policy.isMeasured === true

/** Whether one that goes on after a pause asks first. */
export function asksAgain(rollout: Rollout): boolean {
  const { phase, work, hurriedBy = null } = rollout
  if (!asks(rollout) || hurriedBy !== null) return false
  return phase === 'worked' ? GIVES_MORE.includes(work) : IS_MORE.includes(work)
}

/** Whether it may wait for one of them, now or when it goes on. */
export function mayHurry({ phase, work, asks = null }: Rollout): boolean {
  if (phase !== 'working' && phase !== 'worked') return false
  return asks !== null || ASKS.includes(work)
}

/** It goes on to its next step whatever they say. */
export const hurried = ({ policy }: Rollout, by: string): Pick<Rollout, 'hurriedBy' | 'reason'> => ({
  hurriedBy: by,
  reason: `promoted by ${by}, whatever its ${policy.isScheduled === true ? 'schedule' : 'capacity'} says`,
})
