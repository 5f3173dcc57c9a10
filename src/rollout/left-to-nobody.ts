/**
 * Whether a rollout that went back now would leave its service to nobody: the live pool has died meanwhile, and only the new version answers.
 * An abort is done all the same, unless whoever asks for it wants to be asked again.
 */
import type { Control } from '../change.ts'
import type { Clock } from '../clock.ts'
import { own } from '../config/record.ts'
import { ANYWAY, TurnoutError } from '../errors.ts'
import { isAnswered } from '../table/proven.ts'
import { standbyBehind } from '../table/status.ts'
import type { Kept } from './kept.ts'
import { isRolling } from './rolling.ts'

/** Throws `conflict` where somebody answers now, and nobody would after the way back. */
export function assertSomebodyLeft(
  { service, rollout }: Pick<Kept, 'service' | 'rollout'>,
  { control, clock }: { readonly control: Pick<Control, 'snapshot'>; readonly clock: Pick<Clock, 'steadyMs'> },
): void {
  const { services, status } = control.snapshot()
  const nowMs = clock.steadyMs()
  const [spec, is] = [own(services, service), own(status, service)]
  // Targets that are replaced in place get the version of before again, whoever answers.
  if (spec === undefined || is === undefined || isRolling(rollout)) return
  // Once it has gone back the new version takes over for nobody, unless the service says so; who did before it does so again.
  const standby = is.trial === undefined ? [] : standbyBehind(is.trial)
  const after = { weights: rollout.before, takeOver: spec.failover ?? standby }
  if (!isAnswered(spec, is, nowMs) || isAnswered(spec, is, nowMs, after)) return
  const pools = Object.keys(rollout.before).filter((pool) => rollout.before[pool] > 0)
  throw new TurnoutError(
    'conflict',
    `Nobody would be left to answer for ${service}: rollout ${rollout.id} goes back to ${pools.join(' and ')}, where no target can answer now. ${ANYWAY}`,
  )
}
