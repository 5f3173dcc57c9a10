/** What a rollout is about, for its gates. */
import type { Logger } from 'pino'
import type { Control } from '../../change.ts'
import { own } from '../../config/record.ts'
import type { SharedMemory } from '../../metrics/layout.ts'
import type { Kept } from '../kept.ts'
import { type Publish, tellWait } from '../news.ts'
import { PoolTargets } from '../pool-targets.ts'
import type { About } from './gate.ts'
import type { GateLog } from './gate-log.ts'

export interface AboutDeps {
  readonly control: Control
  readonly memory: SharedMemory
  readonly publish: Publish
  readonly log: Pick<Logger, 'error' | 'warn'>
}

/** Who runs it, where it is run: a dry run and what comes after its end know of neither. */
type Runner = Pick<About, 'goesOn' | 'hurriedBy' | 'notifyWait'>
const NOBODY: Runner = { goesOn() {}, hurriedBy: () => null, notifyWait() {} }

/** As it is kept now; `untilEnd` cuts off even hooks. */
export function aboutOf(kept: Kept, deps: AboutDeps, log: GateLog, untilEnd: AbortSignal, runner = NOBODY): About {
  const { service, rollout, wish } = kept
  const { control, memory } = deps
  return {
    service,
    rollout,
    spec: wish.spec,
    version: wish.version ?? null,
    status: () => own(control.snapshot().status, service),
    targets: new PoolTargets(control, memory, service, rollout),
    log,
    untilEnd,
    ...runner,
    tellWait: (what, error) => tellWait(what, error, kept, deps),
  }
}
