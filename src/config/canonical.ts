/**
 * The canonical form of a service: `split` names every pool and `live` is gone; hosts, paths and targets are in their one form
 * (table/host.ts, table/path.ts, address.ts), methods upper-case. So equal specs are equal as data, which merging and idempotent
 * changes rely on, and what the config says is compared with the wire as it stands. The keys of a service stand in the order of the schema,
 * whoever has made it of whatever parts: so every instance tells the same text of it.
 *
 * Total, and idempotent: what is a fault stays as it is, to be seen by the checks.
 */

import { asciiHost } from '../table/host.ts'
import { canonicalPath, canonicalRoutePath } from '../table/path.ts'
import { parseRouteHost, parseTarget } from './address.ts'
import { mapEntries } from './record.ts'
import {
  type HealthSpec,
  type PoolSpec,
  type RouteSpec,
  ServiceSchema,
  type ServiceSpec,
  type Weights,
} from './schema.ts'

/** The weight that `live` and switch give to their one pool. */
export const WEIGHT_ALL = 100

const KEYS = Object.keys(ServiceSchema.properties) as readonly (keyof ServiceSpec)[]

/** The service with its keys in order. */
function inOrder(spec: ServiceSpec): ServiceSpec {
  const known = KEYS.filter((key) => spec[key] !== undefined).map((key) => [key, spec[key]])
  // What is a fault stays, to be seen.
  return { ...Object.fromEntries(known), ...spec }
}

/** The canonical form of a service. */
export function canonicalService(spec: ServiceSpec): ServiceSpec {
  const { routes, pools, health, ...rest } = spec
  return canonicalSplit({
    ...rest,
    routes: routes.map(canonicalRoute),
    pools: mapEntries(pools, canonicalPool),
    ...(health === undefined ? {} : { health: canonicalHealth(health) }),
  })
}

/** The service with a weight for exactly its pools, and without `live`: the canonical form of one whose parts have theirs. */
export function canonicalSplit(spec: ServiceSpec): ServiceSpec {
  const { live, split, ...rest } = spec
  const names = Object.keys(spec.pools)
  const only = live ?? (names.length === 1 ? names[0] : undefined)
  const weights = split ?? (only === undefined ? undefined : { [only]: WEIGHT_ALL })
  return inOrder({
    ...rest,
    ...(weights === undefined ? {} : { split: filled(weights, names) }),
    // Both are a fault, which must stay to be seen.
    ...(live !== undefined && split !== undefined ? { live } : {}),
  })
}

/** The canonical form of a route. */
export function canonicalRoute(route: RouteSpec): RouteSpec {
  const parsed = parseRouteHost(route.host)
  return {
    ...route,
    host: 'bad' in parsed ? route.host : parsed.host,
    path: canonicalRoutePath(route.path),
    ...(route.method === undefined ? {} : { method: route.method.toUpperCase() }),
  }
}

/** The path as it is sent, and of the Host its other letters as A-labels. */
function canonicalHealth(health: HealthSpec): HealthSpec {
  const path = canonicalPath(health.path)
  if (health.host === undefined) return { ...health, path }
  const [, name, port] = /^(.*?)(:[0-9]+)?$/s.exec(health.host) ?? []
  const host = name === undefined ? null : asciiHost(name)
  return { ...health, path, host: host === null ? health.host : host + (port ?? '') }
}

/** Weights of every pool in the order of the pools; an unknown pool stays, for `checkServices`, unless it gets nothing. */
function filled(weights: Weights, pools: readonly string[]): Weights {
  const unknown = Object.entries(weights).filter(([name, weight]) => weight !== 0 && !pools.includes(name))
  const known = pools.map((name) => [name, Object.hasOwn(weights, name) ? weights[name] : 0] as const)
  return Object.fromEntries([...known, ...unknown])
}

/** The canonical form of a pool. */
export function canonicalPool(pool: PoolSpec): PoolSpec {
  const targets = pool.targets.map((text) => {
    const target = parseTarget(text)
    return 'bad' in target ? text : target.url
  })
  const { weights, ...rest } = pool
  const named = Object.entries(weights ?? {}).flatMap(([text, weight]) => {
    const target = parseTarget(text)
    const url = 'bad' in target ? text : target.url
    return weight === 1 && targets.includes(url) ? [] : [[url, weight] as const]
  })
  return { ...rest, targets, ...(named.length === 0 ? {} : { weights: Object.fromEntries(named) }) }
}
