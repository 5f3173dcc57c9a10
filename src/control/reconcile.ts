/**
 * Keeps the intent in step with the spec: which pools and targets have one, which release is live, and which split `back`
 * returns to. Pure; what did not change keeps its identity, so that a caller finds changes by comparing references.
 *
 * Invariants:
 * - An intent has exactly the services, pools and targets of the spec. Kept ones keep what people have set; new ones are ready.
 * - A release names what its pools hold: when a pool's version changes, or none of its targets stays, pins to the old
 *   release would lead to another version than they were given for. So the live release changes then, and so does the one
 *   that `previous` would bring back. A split alone never changes it: raising a weight must move nobody twice.
 * - `releaseLast` only grows, so no release is given out twice in the life of a service.
 */
import type { PoolSpec, ServiceSpec, Services, Weights } from '../config/schema.ts'
import { TurnoutError } from '../errors.ts'
import type { PoolIntent, ServiceIntent, ServiceObserved, TargetIntent } from '../table/status.ts'
import { mapEntries, own, sameEntries } from './record.ts'

/**
 * What changes work on: the services, each with its canonical split, and an intent for each. What this process has seen is
 * there to be read; no change ever changes it.
 */
export interface Content {
  readonly services: Services
  readonly intents: Readonly<Record<string, ServiceIntent>>
  readonly observed: Readonly<Record<string, ServiceObserved>>
}

/** The weight that `live` and switch give to their one pool. */
export const WEIGHT_ALL = 100

/**
 * The spec with a weight for exactly its pools, and without `live`. Weights of pools that do not exist are left for
 * validation to report, unless they are 0. Throws `invalid` when it cannot be known where the traffic goes.
 */
export function canonical(spec: ServiceSpec): ServiceSpec {
  const { live, split, ...rest } = spec
  if (live !== undefined && split !== undefined) {
    throw invalid('/live', 'Give either a split or a live pool, not both.')
  }
  const weights = split ?? { [live ?? onlyPool(spec)]: WEIGHT_ALL }
  const unknown = Object.entries(weights).filter(([pool, weight]) => weight !== 0 && !Object.hasOwn(spec.pools, pool))
  const known = Object.keys(spec.pools).map((pool) => [pool, own(weights, pool) ?? 0])
  return { ...rest, split: Object.fromEntries([...known, ...unknown]) }
}

function onlyPool(spec: ServiceSpec): string {
  const names = Object.keys(spec.pools)
  if (names.length === 1) return names[0]
  throw invalid('/split', 'A split or a live pool is needed when there is not exactly one pool.')
}

function invalid(pointer: string, message: string): TurnoutError {
  return new TurnoutError('invalid', message, [{ pointer, message }])
}

/** The split of a service that went through `canonical`. */
export function splitOf(spec: ServiceSpec): Weights {
  if (spec.split === undefined) throw new Error('a service without its canonical split')
  return spec.split
}

/** The intents of all services after a change of the specs; `remembered` is where services and pools that return look first. */
export function reconcileAll(services: Services, before: Content, remembered: Content['intents'] = {}): Content {
  const intents = mapEntries<ServiceSpec, ServiceIntent>(services, (spec, name) => {
    const oldSpec = own(before.services, name)
    const oldIntent = own(before.intents, name)
    const old = oldSpec && oldIntent && { spec: oldSpec, intent: oldIntent }
    return reconcileService(spec, old, own(remembered, name))
  })
  return { ...before, services, intents: sameEntries(intents, before.intents) ? before.intents : intents }
}

/** The intent of one service; `before` is absent for a new one. */
export function reconcileService(
  spec: ServiceSpec,
  before?: { readonly spec: ServiceSpec; readonly intent: ServiceIntent },
  remembered?: ServiceIntent,
): ServiceIntent {
  const intent = before?.intent ?? remembered ?? FIRST_INTENT
  const pools = reconcilePools(spec, before ? intent.pools : {}, remembered?.pools)
  const released = before ? afterContent(intent, before.spec, spec) : intent
  const moved = before !== undefined && !sameWeights(splitOf(before.spec), splitOf(spec))
  // The old release is read after afterContent: when the pools hold something else now, `back` must not revive its pins.
  const replaced = released.release !== intent.release
  const previous = moved
    ? { weights: splitOf(before.spec), release: replaced ? released.release : intent.release }
    : released.previous
  const next = { ...released, pools, previous: stillPossible(previous, spec) }
  const same = pools === intent.pools && next.previous === intent.previous && !replaced
  return same && released === intent && before ? intent : next
}

const FIRST_INTENT: ServiceIntent = Object.freeze({ release: 'r1', releaseLast: 1, pools: {}, previous: null })

/** The intent with the next release; releases are never given out twice. */
export function withNextRelease(intent: ServiceIntent): ServiceIntent {
  const releaseLast = intent.releaseLast + 1
  return { ...intent, release: `r${releaseLast}`, releaseLast }
}

/** New releases when a pool holds something else now: for the live split, and for the one that `back` returns to. */
function afterContent(intent: ServiceIntent, oldSpec: ServiceSpec, spec: ServiceSpec): ServiceIntent {
  if (!anyHoldsOther(oldSpec, spec)) return intent
  const live = withNextRelease(intent)
  if (intent.previous === null) return live
  if (intent.previous.release === intent.release) {
    return { ...live, previous: { ...intent.previous, release: live.release } }
  }
  const further = withNextRelease(live)
  return {
    ...live,
    releaseLast: further.releaseLast,
    previous: { ...intent.previous, release: further.release },
  }
}

function anyHoldsOther(oldSpec: ServiceSpec, spec: ServiceSpec): boolean {
  return Object.entries(oldSpec.pools).some(([name, old]) => {
    const pool = own(spec.pools, name)
    return pool !== undefined && holdsOther(old, pool)
  })
}

/** Whether a pool has another version, or none of the targets that it had. */
export function holdsOther(old: PoolSpec, now: PoolSpec): boolean {
  if (now === old) return false
  const targets = new Set(now.targets)
  const replaced = old.targets.length > 0 && !old.targets.some((url) => targets.has(url))
  return now.version !== old.version || replaced
}

/** Whether two splits send the same; a pool of weight 0 and an absent pool are the same. */
export function sameWeights(a: Weights, b: Weights): boolean {
  const names = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...names].every((name) => (own(a, name) ?? 0) === (own(b, name) ?? 0))
}

/** A split is not one to go back to when a pool that it gave traffic to is gone. */
function stillPossible(previous: ServiceIntent['previous'], spec: ServiceSpec): ServiceIntent['previous'] {
  if (previous === null) return null
  const gone = Object.entries(previous.weights).some(([pool, weight]) => weight > 0 && !Object.hasOwn(spec.pools, pool))
  return gone ? null : previous
}

type Pools = ServiceIntent['pools']

function reconcilePools(spec: ServiceSpec, pools: Pools, remembered: Pools = {}): Pools {
  const next = mapEntries<PoolSpec, PoolIntent>(spec.pools, (pool, name) =>
    reconcilePool(pool, own(pools, name), own(remembered, name)),
  )
  return sameEntries(next, pools) ? pools : next
}

/** What people set on a target that returns is kept. */
function reconcilePool(spec: PoolSpec, intent: PoolIntent | undefined, remembered: PoolIntent | undefined): PoolIntent {
  const { admin, drainUntilMs } = intent ?? remembered ?? NEW_TARGET
  const old = intent?.targets ?? {}
  const known = (url: string) => own(old, url) ?? (remembered && own(remembered.targets, url)) ?? NEW_TARGET
  const next = Object.fromEntries(spec.targets.map((url) => [url, known(url)]))
  const targets = sameEntries(next, old) ? old : next
  return intent !== undefined && targets === old ? intent : { admin, drainUntilMs, targets }
}

const NEW_TARGET: TargetIntent = Object.freeze({ admin: 'ready', drainUntilMs: 0 })
