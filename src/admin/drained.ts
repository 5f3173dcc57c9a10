/** Whether a target is `drained`: nobody is let in any more, and nothing is under way there, here and at any other instance, so that its server can be ended. */
import type { Snapshot } from '../change.ts'
import { targetKey } from '../config/target-key.ts'
import { FIELD } from '../metrics/layout.ts'
import type { TargetTraffic } from '../metrics/window.ts'
import { isClosed, keepers } from '../table/eligible.ts'
import type { AdminDeps } from './deps.ts'

/** Of a target of a pool; `busyElsewhere` names the others for which it waits, once nobody is let in here. */
export function drainedOf(
  { clock, instances, busyPredecessor }: Pick<AdminDeps, 'busyPredecessor' | 'clock' | 'instances'>,
  { services, status, revisions }: Snapshot,
  [service, pool]: readonly [service: string, pool: string],
  { url, total }: TargetTraffic,
): { drained: boolean; busyElsewhere: string[] } {
  const keeps = keepers(services[service].sticky)
  const place = status[service].pools[pool]
  const nowMs = clock.nowMs()
  if (!isClosed(place, keeps.pool, nowMs) && !isClosed(place.targets[url], keeps.target, nowMs))
    return { drained: false, busyElsewhere: [] }
  const places = [targetKey(service, pool, url)]
  const busyElsewhere = instances.busyAt({ places, revision: revisions[service], orOpen: true })
  const isIdle = total[FIELD.inFlight] === 0 && total[FIELD.tunnels] === 0
  return { drained: isIdle && busyPredecessor() === null && busyElsewhere.length === 0, busyElsewhere }
}
