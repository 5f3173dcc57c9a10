/**
 * What probes and outlier detection report, brought into what this process has seen. Pure. Only the axes that an observation
 * names change: a passing probe never ends an ejection, and nothing that people have set is touched. An observation of what is
 * no longer there, or of the health of a service that is no longer probed, is late and changes nothing.
 */
import type { Observation } from '../change.ts'
import type { ServiceSpec } from '../config/schema.ts'
import { observedOf, type ServiceObserved, type TargetObserved, UNSEEN } from '../table/status.ts'
import type { NewEvent } from './events.ts'
import type { Content } from './reconcile.ts'
import { own, sameEntries, withEntry, withoutEntry } from './record.ts'

/** One string for a target of a pool of a service; no name or URL holds a line break. */
export const targetKey = (service: string, pool: string, url: string): string => `${service}\n${pool}\n${url}`

/** What came of observations. */
export interface Observed {
  /** The very same record when nothing changed. */
  readonly observed: Content['observed']
  /** The services of which something has changed. */
  readonly services: ReadonlySet<string>
  readonly events: readonly NewEvent[]
}

/** Observations by target, the later axes over the earlier ones. */
export type Observations = ReadonlyMap<string, Observation>

/** Adds an observation to those that wait. */
export function addObservation(waiting: Map<string, Observation>, observation: Observation): void {
  const key = targetKey(observation.service, observation.pool, observation.target)
  waiting.set(key, { ...waiting.get(key), ...observation })
}

/** What is seen after these observations, and what to tell about it. */
export function applyObservations(content: Content, observations: Observations): Observed {
  const events: NewEvent[] = []
  /** By service and pool: a copy of what was seen of its targets, made once, with what is new. */
  const changed = new Map<string, Map<string, Record<string, TargetObserved>>>()
  for (const observation of observations.values()) {
    const { service, pool, target } = observation
    const spec = own(content.services, service)
    if (spec === undefined || !own(spec.pools, pool)?.targets.includes(target)) continue
    const before = own(content.observed, service)
    const seen = observedOf(before, pool, target)
    const next = observed(seen, observation, spec, events)
    if (next === seen) continue
    const pools = changed.get(service) ?? new Map<string, Record<string, TargetObserved>>()
    const targets = pools.get(pool) ?? { ...(before && own(before, pool)) }
    targets[target] = next
    changed.set(service, pools.set(pool, targets))
  }
  if (changed.size === 0) return { observed: content.observed, services: new Set(), events }
  const entries = [...changed].map(([name, pools]): [string, ServiceObserved] => {
    return [name, { ...own(content.observed, name), ...Object.fromEntries(pools) }]
  })
  return {
    observed: { ...content.observed, ...Object.fromEntries(entries) },
    services: new Set(changed.keys()),
    events,
  }
}

function observed(target: TargetObserved, seen: Observation, spec: ServiceSpec, events: NewEvent[]): TargetObserved {
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

/**
 * What was seen, as far as it is of any account for these specs: of targets that are there, of health only where it is probed,
 * since nothing else would ever call them healthy again. `names` are the services to look at; the others stay as they are.
 */
export function keepObserved(
  observed: Content['observed'],
  services: Content['services'],
  names: Iterable<string>,
): Content['observed'] {
  let next = observed
  for (const name of names) {
    const before = own(next, name)
    if (before === undefined) continue
    const spec = own(services, name)
    const kept = spec === undefined ? {} : keptOf(before, spec)
    if (Object.keys(kept).length === 0) next = withoutEntry(next, name)
    else if (kept !== before) next = withEntry(next, name, kept)
  }
  return next
}

function keptOf(observed: ServiceObserved, spec: ServiceSpec): ServiceObserved {
  const pools = Object.entries(spec.pools).flatMap(([name, { targets }]) => {
    const before = own(observed, name)
    if (before === undefined) return []
    const seen = targets.flatMap((url): [string, TargetObserved][] => {
      const target = own(before, url)
      if (target === undefined) return []
      const known =
        spec.health !== undefined || target.health === 'unknown' ? target : { ...target, health: UNSEEN.health }
      return [[url, known]]
    })
    const kept = Object.fromEntries(seen)
    return seen.length === 0 ? [] : [[name, sameEntries(kept, before) ? before : kept] as const]
  })
  const kept = Object.fromEntries(pools)
  return sameEntries(kept, observed) ? observed : kept
}
