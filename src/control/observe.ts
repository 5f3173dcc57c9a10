/**
 * What probes and outlier detection report, brought into what this process has seen. Pure. Only the axes that an observation
 * names change: a passing probe never ends an ejection, and nothing that people have set is touched. An observation of what is
 * no longer there, or of the health of what is no longer probed, is late and changes nothing.
 */
import type { Observation } from '../change.ts'
import { questionIn } from '../config/question.ts'
import { own, sameEntries, withEntry, withoutEntry } from '../config/record.ts'
import { targetKey } from '../config/target-key.ts'
import { type Address, hostOf, placeInWords } from '../names/address.ts'
import {
  type AddressObserved,
  EJECTION_MS_MAX,
  type ServiceObserved,
  type TargetObserved,
  UNSEEN,
} from '../table/status.ts'
import type { Health } from '../table/types.ts'
import type { NewEvent } from './events.ts'
import type { Content } from './reconcile.ts'

/** The addresses of a target, by its URL. */
export type AddressesOf = (url: string) => readonly Address[]

/** What came of observations. */
export interface Observed {
  /** The very same record when nothing changed. */
  readonly observed: Content['observed']
  /** The services of which something has changed. */
  readonly services: ReadonlySet<string>
  readonly events: readonly NewEvent[]
}

/** Observations by address of a target, the later axes over the earlier ones. */
export type Observations = ReadonlyMap<string, Observation>

/** Adds an observation to those that wait. */
export function addObservation(waiting: Map<string, Observation>, observation: Observation): void {
  const { service, pool, target } = observation
  const key = targetKey(service, pool, target, addressOf(observation))
  waiting.set(key, { ...waiting.get(key), ...observation })
}

const addressOf = ({ address, target }: Observation): string => address ?? hostOf(target)

/** What is seen after these observations, and what to tell about it. */
export function applyObservations(content: Content, observations: Observations, addressesOf: AddressesOf): Observed {
  const events: NewEvent[] = []
  /** By service and pool: a copy of what was seen of its targets, made once, with what is new. */
  const changed = new Map<string, Map<string, Record<string, TargetObserved>>>()
  for (const observation of observations.values()) {
    const { service, pool, target } = observation
    const spec = own(content.services, service)
    if (spec === undefined || !own(spec.pools, pool)?.targets.includes(target)) continue
    const before = own(content.observed, service)
    const address = addressOf(observation)
    if (!addressesOf(target).some((used) => used.address === address)) continue
    const pools = changed.get(service) ?? new Map<string, Record<string, TargetObserved>>()
    const targets = pools.get(pool) ?? { ...(before && own(before, pool)) }
    const seen = own(targets, target) ?? {}
    const question = isProbed(content, service, pool, target) ? questionIn(spec, pool) : null
    const next = observed(own(seen, address) ?? UNSEEN, observation, question, events)
    if (next === (own(seen, address) ?? UNSEEN)) continue
    targets[target] = withEntry(seen, address, next)
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

/** Whether health is found out there: in a service with probes, of what is not in maintenance. */
function isProbed(
  { services, intents }: Pick<Content, 'services' | 'intents'>,
  service: string,
  pool: string,
  url: string,
): boolean {
  const its = own(own(intents, service)?.pools ?? {}, pool)
  const isMaint = its?.admin === 'maint' || own(its?.targets ?? {}, url)?.admin === 'maint'
  return own(services, service)?.health !== undefined && !isMaint
}

const withoutHealth = ({ health: _health, question: _question, ...others }: AddressObserved) => others

/** `present` is what its probes ask now, null when it has none. */
function observed(
  target: AddressObserved,
  seen: Observation,
  present: string | null,
  events: NewEvent[],
): AddressObserved {
  let next = target
  const isNamed = seen.address !== undefined && seen.address !== hostOf(seen.target)
  const data = {
    pool: seen.pool,
    target: seen.target,
    ...(isNamed ? { address: seen.address } : {}),
    ...(seen.detail === undefined ? {} : { detail: seen.detail }),
  }
  const because = seen.detail === undefined ? '' : `: ${seen.detail}`
  const tell = (type: NewEvent['type'], what: string, more: object) => {
    const which = placeInWords(seen.target, addressOf(seen))
    const message = `${which} in pool ${seen.pool} of ${seen.service} ${what}${because}`
    events.push({ type, service: seen.service, message, data: { ...data, ...more } })
  }
  const { health, ejectedUntilMs } = seen
  const question = seen.question ?? present
  if (health !== undefined && present !== null && question !== null) {
    const [isNew, isHealthy] = [health !== target.health, health === 'healthy']
    const isAsked = isHealthy && question !== target.question
    if (isNew || isAsked) next = { ...withoutHealth(next), health, ...(isHealthy && { question }) }
    if (isNew) tell('health', `is ${health}`, { health, before: target.health })
  }
  if (ejectedUntilMs !== undefined && ejectedUntilMs !== target.ejectedUntilMs) {
    next = { ...next, ejectedUntilMs }
    tell('ejection', 'is ejected', { ejectedUntilMs })
  }
  return next
}

/**
 * What was seen, as far as it is of any account for these specs: of targets that are there, of health only where it is probed,
 * since nothing else would ever call them healthy again, and of the addresses that they have, while they have any. `names` are the
 * services to look at; the others stay as they are.
 *
 * So what is in maintenance is not known to be well, and comes back unknown: it was taken out to be changed. As at a start it gets requests
 * before its first probe only where its pool has nobody who is known to be well: people have said that it is ready, and somebody has to answer.
 * What was known to fail still is: the pool that has taken over for it answers until a probe has found it well.
 */
export function keepObserved(
  content: Pick<Content, 'observed' | 'services' | 'intents'>,
  names: Iterable<string>,
  addressesOf: AddressesOf,
): Content['observed'] {
  let next = content.observed
  for (const name of names) {
    const before = own(next, name)
    if (before === undefined) continue
    const kept = Object.hasOwn(content.services, name) ? keptOf(before, content, name, addressesOf) : {}
    if (Object.keys(kept).length === 0) next = withoutEntry(next, name)
    else if (kept !== before) next = withEntry(next, name, kept)
  }
  return next
}

function keptOf(
  observed: ServiceObserved,
  content: Pick<Content, 'services' | 'intents'>,
  service: string,
  addressesOf: AddressesOf,
): ServiceObserved {
  const { pools: all, health } = content.services[service]
  const hasProbes = health !== undefined
  const pools = Object.entries(all).flatMap(([name, { targets }]) => {
    const before = own(observed, name)
    if (before === undefined) return []
    const seen = targets.flatMap((url): [string, TargetObserved][] => {
      const target = own(before, url)
      if (target === undefined) return []
      const probed = isProbed(content, service, name, url)
      const isKept = (health: Health) => probed || (hasProbes && health === 'unhealthy')
      return [[url, keptOfTarget(target, isKept, addressesOf(url))]]
    })
    const kept = Object.fromEntries(seen)
    return seen.length === 0 ? [] : [[name, sameEntries(kept, before) ? before : kept] as const]
  })
  const kept = Object.fromEntries(pools)
  return sameEntries(kept, observed) ? observed : kept
}

function keptOfTarget(
  target: TargetObserved,
  isKept: (health: Health) => boolean,
  addresses: readonly Address[],
): TargetObserved {
  const entries = Object.entries(target).flatMap(([address, seen]): [string, AddressObserved][] => {
    if (addresses.length > 0 && !addresses.some((used) => used.address === address)) return []
    if (seen.health === UNSEEN.health || isKept(seen.health)) return [[address, seen]]
    return [[address, { ...withoutHealth(seen), health: UNSEEN.health }]]
  })
  const kept = Object.fromEntries(entries)
  return sameEntries(kept, target) ? target : kept
}

/**
 * What a store has kept of what was seen, at this moment of its clock; whatever is not of this form, such as that of an older version, was never
 * seen. What lies later than anybody writes now is of a clock that was set back since, and is as late as anybody writes.
 * Whoever goes on at once with what another process sees (`isHeir`) has the questions, too. Else nobody has watched meanwhile: what was healthy is so for
 * traffic, and proves no pool before it is asked again.
 */
export function soundObserved(kept: unknown, nowMs: number, isHeir: boolean): Record<string, ServiceObserved> {
  const entriesOf = (value: unknown) => Object.entries(typeof value === 'object' && value !== null ? value : {})
  const mapped = <T>(value: unknown, each: (value: unknown) => T): Record<string, T> =>
    Object.fromEntries(entriesOf(value).map(([key, entry]) => [key, each(entry)]))
  const target = (value: unknown): TargetObserved =>
    Object.fromEntries(
      entriesOf(value)
        .filter((entry): entry is [string, AddressObserved] => isSeen(entry[1]))
        .map(([address, seen]) => [address, asOfNow(seen, nowMs, isHeir)]),
    )
  return mapped(kept, (service) => mapped(service, (pool) => mapped(pool, target)))
}

function asOfNow(
  { ejectedUntilMs, warmFromMs, question, ...seen }: AddressObserved,
  nowMs: number,
  isHeir: boolean,
): AddressObserved {
  return {
    ...seen,
    ...(isHeir && question !== undefined && { question }),
    ejectedUntilMs: Math.min(ejectedUntilMs, nowMs + EJECTION_MS_MAX),
    ...(warmFromMs === undefined ? {} : { warmFromMs: Math.min(warmFromMs, nowMs) }),
  }
}

function isSeen(value: unknown): value is AddressObserved {
  const { health, ejectedUntilMs, warmFromMs = 0, question = '' } = Object(value) as Record<string, unknown>
  const isKnown = ['unknown', 'healthy', 'unhealthy'].includes(health as string)
  return isKnown && Number.isFinite(ejectedUntilMs) && Number.isFinite(warmFromMs) && typeof question === 'string'
}
