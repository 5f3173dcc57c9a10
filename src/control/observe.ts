/**
 * What probes and outlier detection saw, brought into the status. Pure. Only the axes that an observation names change:
 * a passing probe never ends a drain or an ejection. An observation of what is no longer there, or of the health of a
 * service that is no longer probed, is late and changes nothing.
 */
import type { Observation } from '../change.ts'
import type { ServiceSpec } from '../config/schema.ts'
import type { PoolStatus, ServiceStatus, TargetStatus } from '../table/types.ts'
import type { NewEvent } from './events.ts'
import type { Content } from './reconcile.ts'
import { mapEntries } from './record.ts'

/** One string for a target of a pool of a service; no name or URL holds a line break. */
export const targetKey = (service: string, pool: string, url: string): string => `${service}\n${pool}\n${url}`

/** What came of observations. */
export interface Observed {
  /** The very same status when nothing changed. */
  readonly status: Content['status']
  readonly events: readonly NewEvent[]
}

/** Observations by target, the later axes over the earlier ones. */
export type Observations = ReadonlyMap<string, Observation>

/** Adds an observation to those that wait. */
export function addObservation(waiting: Map<string, Observation>, observation: Observation): void {
  const key = targetKey(observation.service, observation.pool, observation.target)
  waiting.set(key, { ...waiting.get(key), ...observation })
}

/** The status after these observations, and what to tell about it. */
export function applyObservations(content: Content, observations: Observations): Observed {
  const events: NewEvent[] = []
  const concerned = new Set([...observations.values()].map(({ service }) => service))
  const status = mapEntries<ServiceStatus, ServiceStatus>(content.status, (old, name) => {
    if (!concerned.has(name)) return old
    const pools = mapEntries<PoolStatus, PoolStatus>(old.pools, (pool, poolName) => {
      const targets = mapEntries<TargetStatus, TargetStatus>(pool.targets, (target, url) => {
        const observation = observations.get(targetKey(name, poolName, url))
        return observation ? observed(target, observation, content.services[name], events) : target
      })
      return targets === pool.targets ? pool : { ...pool, targets }
    })
    return pools === old.pools ? old : { ...old, pools }
  })
  return { status, events }
}

function observed(target: TargetStatus, seen: Observation, spec: ServiceSpec, events: NewEvent[]): TargetStatus {
  let next = target
  const data = { pool: seen.pool, target: seen.target, ...(seen.detail === undefined ? {} : { detail: seen.detail }) }
  const because = seen.detail === undefined ? '' : `: ${seen.detail}`
  const tell = (type: NewEvent['type'], what: string, more: object) => {
    const message = `${seen.target} in pool ${seen.pool} of ${seen.service} ${what}${because}`
    events.push({ type, service: seen.service, message, data: { ...data, ...more } })
  }
  const { health, ejectedUntilMs } = seen
  if (health !== undefined && health !== target.health && spec.health !== undefined) {
    next = { ...next, health }
    tell('health', `is ${health}`, { health, before: target.health })
  }
  if (ejectedUntilMs !== undefined && ejectedUntilMs !== target.ejectedUntilMs) {
    next = { ...next, ejectedUntilMs }
    tell('ejection', ejectedUntilMs > 0 ? 'is ejected' : 'is no longer ejected', { ejectedUntilMs })
  }
  return next
}
