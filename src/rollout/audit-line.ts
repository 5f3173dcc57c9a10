/**
 * What of a rollout stands in the audit beside its shifts: what a person has asked for, where it stops, by itself too, where it fails, stopped
 * or not, where it goes on after that, and how it ends. Pure.
 */
import type { RolloutLine } from '../change.ts'
import type { Kept } from './kept.ts'
import { hasJustFailed, type Rollout, type RolloutEvent, type State } from './rollout.ts'
import { percentTold } from './shares.ts'

/** States that nothing but its shifts would tell of, if at all. */
const STOPS: ReadonlySet<State> = new Set(['paused', 'holding', 'rollingBack', 'done', 'rolledBack'])

/** The line for what people are told of now; null where its shifts say it all. `was` is what it was before. */
export function auditLineOf(was: Rollout, kept: Kept, event: RolloutEvent): RolloutLine | null {
  const { service, rollout, history, updatedAtMs } = kept
  const { id, to, state } = rollout
  const isStop = state !== was.state && (STOPS.has(state) || STOPS.has(was.state))
  if (!isStop && !hasJustFailed(was, rollout, event) && !('by' in event)) return null
  return {
    kind: 'rollout',
    service,
    rollout: id,
    to,
    ...('by' in event && { verb: event.type, askedBy: event.by }),
    ...(event.type === 'promote' && rollout.hurriedBy != null && { hurriedBy: rollout.hurriedBy }),
    state,
    weight: percentTold(rollout),
    reason: rollout.reason ?? history.at(-1)?.reason ?? null,
    sinceMs: updatedAtMs,
  }
}
