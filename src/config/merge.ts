/**
 * Reading the config file again: what changed *in the file* since it was last loaded is applied over the live state;
 * what people changed by API and the file did not touch stays. (As `kubectl apply` does.)
 *
 * A three-way merge of services in canonical form, pure, key by key. Lists and the split are one value each: half of
 * someone's rules or weights is nobody's intention. Two splits are the same when they give the same weights, whether or
 * not they also name pools that get nothing; so a new pool in the file does not undo a weight set by API.
 *
 * Laws, tested: merge(base, live, base) = live; merge(base, base, file) = file;
 * merge(base, merge(base, live, file), file) = merge(base, live, file).
 * Without a base (first load, or the base was lost) live services win and new ones of the file are added.
 *
 * `overFile` is for who wants the file to win wherever the two differ.
 */
import type { Fault } from '../errors.ts'
import { canonicalService } from './canonical.ts'
import { checkServices } from './check.ts'
import { withoutGoneWeights } from './gone-weights.ts'
import { equalJson, isRecord, mapEntries } from './record.ts'
import type { ServiceSpec, Services } from './schema.ts'

/** A map of JSON values. */
type Tree = Readonly<Record<string, unknown>>

export interface Merged {
  readonly services: Services
  /** Why the merged services cannot be applied, e.g. the file removes a pool that the live split gives traffic to. */
  readonly faults: readonly Fault[]
}

/** Applies what changed from `base` to `file` over `live`; all three in canonical form, none is changed. */
export function mergeFile(base: Services | null, live: Services, file: Services): Merged {
  const services = base === null ? { ...file, ...live } : (mergeTree(base, live, file) as Services)
  // A pool that came or went with one side must come or go in the split of the other.
  const fitted = Object.entries(services).map(([name, spec]): [string, ServiceSpec] => [name, fittedService(spec)])
  const result = Object.fromEntries(fitted)
  return { services: result, faults: checkServices(result) }
}

/** So must the weight of a target in its pool. */
function fittedService(spec: ServiceSpec): ServiceSpec {
  return canonicalService({ ...spec, pools: mapEntries(spec.pools, withoutGoneWeights) })
}

/** The file as it is. Services that it had and has no longer go; those that it never had stay, or with `prune` go too. */
export function overFile(base: Services | null, live: Services, file: Services, prune: boolean): Merged {
  const never = Object.entries(live).filter(([name]) => base === null || !Object.hasOwn(base, name))
  const services = prune ? file : { ...Object.fromEntries(never), ...file }
  return { services, faults: checkServices(services) }
}

function mergeTree(base: Tree, live: Tree, file: Tree): Tree {
  const merged: Record<string, unknown> = {}
  for (const key of new Set([...Object.keys(live), ...Object.keys(file)])) {
    const value = mergeValue(key, base[key], live[key], file[key])
    if (value !== undefined) merged[key] = value
  }
  return merged
}

/** `undefined` is absence; nothing else is, since these are JSON values. */
function mergeValue(key: string, base: unknown, live: unknown, file: unknown): unknown {
  if (same(key, base, file)) return live
  const whole = key === 'split' || !isRecord(base) || !isRecord(live) || !isRecord(file)
  return whole ? file : mergeTree(base, live, file)
}

/** Whether two values of this key mean the same. */
export function same(key: string, a: unknown, b: unknown): boolean {
  if (key === 'split' && isRecord(a) && isRecord(b)) return equalJson(weighted(a), weighted(b))
  return equalJson(a, b)
}

const weighted = (split: Tree): Tree => Object.fromEntries(Object.entries(split).filter(([, weight]) => weight !== 0))
