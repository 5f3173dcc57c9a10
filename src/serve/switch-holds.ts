/** What a switch under a hold (admin/held-switch.ts) needs of several rooms: what is quiet here, its hook, and an end for what was left. */

import type { Clock } from '../clock.ts'
import type { RunningControl } from '../control/deps.ts'
import { seeToLeftHolds } from '../control/left-holds.ts'
import { Quiet } from '../control/quiet.ts'
import type { SharedMemory } from '../metrics/layout.ts'
import type { Names } from '../names/names.ts'
import { HookCaller } from '../rollout/gates/hook-caller.ts'
import type { Cleanup } from './cleanup.ts'

/** Starts it; `cleanup` ends it. */
export function startSwitchHolds(
  {
    control,
    memory,
    names,
  }: { readonly control: RunningControl; readonly memory: SharedMemory; readonly names: Pick<Names, 'find'> },
  clock: Clock,
  cleanup: Cleanup,
  busyPredecessor: () => number | null,
): { readonly quiet: Quiet; readonly callHook: HookCaller['call'] } {
  const quiet = new Quiet({ control, memory, clock, busyPredecessor, publish: (event) => control.publish(event) })
  cleanup.add(() => quiet.close())
  cleanup.add(seeToLeftHolds(control, clock))
  const hooks = new HookCaller(clock, names.find)
  cleanup.add(() => hooks.close())
  return { quiet, callHook: (...given) => hooks.call(...given) }
}
