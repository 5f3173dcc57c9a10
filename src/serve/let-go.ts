/** Watches whose tunnels are let go (control/departure-watch.ts): in this process, and in the one that it has replaced. */

import type { Clock } from '../clock.ts'
import { DepartureWatch } from '../control/departure-watch.ts'
import type { RunningControl } from '../control/deps.ts'
import { OldDepartures } from '../control/old-departures.ts'
import type { SharedMemory } from '../metrics/layout.ts'
import type { Cleanup } from './cleanup.ts'
import type { ServeOptions } from './options.ts'

/** Starts it; `cleanup` ends it. `letGoBefore` tells what the process before this one lets go of a pool; null for nothing. */
export function startDepartures(
  { control, memory }: { readonly control: RunningControl; readonly memory: SharedMemory },
  predecessor: ServeOptions['predecessor'],
  clock: Clock,
  cleanup: Cleanup,
): { readonly departures: DepartureWatch; readonly letGoBefore: OldDepartures['of'] } {
  const old = new OldDepartures(memory, clock, (pid) => predecessor?.isOver(pid) ?? true)
  predecessor?.onLetGo((handed, pid) => old.take(handed, pid))
  const departures = new DepartureWatch(control, memory, clock, (event) => control.publish(event), old)
  cleanup.add(() => departures.close())
  // Whoever sees that it is over sees the counts of its end.
  void predecessor?.whenOver.then(() => departures.look())
  return { departures, letGoBefore: (service, pool) => old.of(service, pool) }
}
