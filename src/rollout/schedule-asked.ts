/**
 * When a rollout asks its schedule, and who may let it go on all the same. Pure.
 *
 * The schedule is asked by the work before each step, and before all traffic (gates/gates.ts). A pause or a hold may last into a freeze:
 * what has passed before it is not the last word then, and the schedule is asked again, alone.
 */
import type { Rollout, Work } from './rollout.ts'

/** Work after which the new version is given more at once. */
const GIVES_MORE: readonly Work[] = ['beforeStep', 'draining', 'afterBake']
/** Work that itself gives it more, when it is tried anew. */
const IS_MORE: readonly Work[] = ['draining', 'replacing']
/** Work that waits for the schedule. */
const ASKS: readonly Work[] = ['preflight', 'beforeStep', 'afterBake']

/** Whether one that goes on after a pause asks the schedule first. */
export function asksAgain({ policy, phase, work, hurriedBy = null }: Rollout): boolean {
  if (policy.isScheduled !== true || hurriedBy !== null) return false
  return phase === 'worked' ? GIVES_MORE.includes(work) : IS_MORE.includes(work)
}

/** Whether it may wait for its schedule, now or when it goes on. */
export function mayHurry({ phase, work, asks = null }: Rollout): boolean {
  if (phase !== 'working' && phase !== 'worked') return false
  return asks !== null || ASKS.includes(work)
}

/** It goes on to its next step whatever the schedule says. */
export const hurried = (by: string): Pick<Rollout, 'hurriedBy' | 'reason'> => ({
  hurriedBy: by,
  reason: `promoted by ${by}, whatever its schedule says`,
})
