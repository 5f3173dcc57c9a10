/**
 * Which hosts targets have: of whole services, and of what a change brings. Pure.
 *
 * They are remembered by spec, which never changes: so with thousands of services a change of one is compared, and the others are
 * looked up.
 */
import type { Change } from '../change.ts'
import type { ServiceSpec, Services } from '../config/schema.ts'
import { hostOf } from './address.ts'

/** How long the first lookup of new hosts is waited for: at the start, and before a change that brings them. Then it goes on without. */
export const LEARN_MS = Object.freeze({ start: 2_000, change: 1_000 })

/** Hosts by spec: a spec never changes, and there are many to look through when one name moves. */
const known = new WeakMap<ServiceSpec, ReadonlySet<string>>()

/** The hosts of the targets of a service. */
export function hostsOfService(spec: ServiceSpec): ReadonlySet<string> {
  const before = known.get(spec)
  if (before !== undefined) return before
  const hosts = new Set(Object.values(spec.pools).flatMap(({ targets }) => targets.map(hostOf)))
  known.set(spec, hosts)
  return hosts
}

/** Whether two specs of a service, or none, have targets at the same hosts. */
export function haveSameHosts(a: ServiceSpec | undefined, b: ServiceSpec | undefined): boolean {
  if (a === b) return true
  if (a === undefined || b === undefined) return false
  const [one, other] = [hostsOfService(a), hostsOfService(b)]
  return one.size === other.size && one.isSubsetOf(other)
}

/** The hosts of all targets. */
export function hostsOf(services: Services): Set<string> {
  const all = new Set<string>()
  for (const spec of Object.values(services)) for (const host of hostsOfService(spec)) all.add(host)
  return all
}

/** The services with a target at one of these hosts. */
export function servicesAt(services: Services, hosts: ReadonlySet<string>): string[] {
  return Object.keys(services).filter((name) => !hostsOfService(services[name]).isDisjointFrom(hosts))
}

/** The hosts that a change may bring; `restored` is what it restores. It need not be valid yet, so what is no target is passed over. */
export function hostsOfChange(change: Change, restored: Readonly<Record<string, unknown>> = {}): Set<string> {
  switch (change.kind) {
    case 'file':
      return new Set(Object.values(change.services).flatMap(hostsIn))
    case 'restore':
      return new Set(Object.values(restored).flatMap((spec) => hostsIn(Object(spec))))
    case 'service.put':
      return new Set(hostsIn(change.spec))
    case 'service.patch':
      return new Set(hostsIn(change.patch))
    case 'pool.put':
      return new Set(hostsIn({ pools: { [change.pool]: change.spec } }))
    default:
      return new Set()
  }
}

function hostsIn(spec: { readonly pools?: unknown }): string[] {
  const pools = Object.values(Object(spec.pools)) as { readonly targets?: unknown }[]
  const targets = pools.flatMap((pool) => (Array.isArray(pool?.targets) ? (pool.targets as unknown[]) : []))
  return targets.flatMap((url) => (typeof url === 'string' && hostOf(url) !== '' ? [hostOf(url)] : []))
}
