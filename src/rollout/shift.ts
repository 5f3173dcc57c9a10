/** The change by which a rollout moves the split, as control has it, and what workers are to count from then on. Pure. */
import type { Change, PoolShift } from '../change.ts'
import type { Trial } from '../table/types.ts'
import type { Kept } from './kept.ts'
import { isRolling, targetsBegun } from './rolling.ts'

type Shift = Extract<Change, { kind: 'shift' }>

/** To these weights; `ends` says that it is the last one. */
export function shiftOf(
  { service, rollout, wish, askedBy = null, isHurried = false }: Kept,
  weights: Shift['weights'],
  trial: Trial | null,
  ends: Shift['ends'],
  pool: PoolShift | undefined,
): Shift {
  const hurriedBy = rollout.hurriedBy ?? (isHurried ? rollout.by : null)
  return {
    kind: 'shift',
    service,
    weights,
    trial,
    ...(ends && { ends }),
    before: rollout.before,
    rollout: rollout.id,
    ...(askedBy !== null && { askedBy }),
    ...(ends === 'done' && { standbyMs: wish.standbyMs ?? 0 }),
    ...(pool && { pool }),
    ...(trial !== null && rollout.works === 1 && { verb: 'begin' as const }),
    ...(hurriedBy !== null && ends !== 'back' && { hurriedBy }),
  }
}

/** What the workers count in the present step. */
export function trialOf({ rollout, wish, step }: Kept): Trial {
  const targets = isRolling(rollout) && { targets: targetsBegun(rollout) }
  const asks = wish.spec.announces !== undefined && { asks: true }
  return {
    pool: rollout.to,
    step,
    rollout: rollout.id,
    ...targets,
    ...(wish.failing && { failing: wish.failing }),
    ...(wish.earlyCloseMs !== undefined && { earlyCloseMs: wish.earlyCloseMs }),
    ...asks,
  }
}
