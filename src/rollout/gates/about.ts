/** What a rollout is about, for its gates. */
import type { Control } from '../../change.ts'
import { own } from '../../config/record.ts'
import type { SharedMemory } from '../../metrics/layout.ts'
import type { Kept } from '../kept.ts'
import { PoolTargets } from '../pool-targets.ts'
import type { About } from './gate.ts'
import type { GateLog } from './gate-log.ts'

/** As it is kept now. */
export function aboutOf(
  { service, rollout, wish }: Kept,
  { control, memory }: { readonly control: Control; readonly memory: SharedMemory },
  log: GateLog,
): About {
  return {
    service,
    rollout,
    spec: wish.spec,
    version: wish.version ?? null,
    status: () => own(control.snapshot().status, service),
    targets: new PoolTargets(control, memory, service, rollout),
    log,
  }
}
