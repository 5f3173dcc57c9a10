/**
 * Keeps the intent in step with the spec: which pools and targets have one, which release is live, and which split `back`
 * returns to. Pure; what did not change keeps its identity, so that a caller finds changes by comparing references.
 *
 * Invariants:
 * - An intent has exactly the services, pools and targets of the spec. Kept ones keep what people have set; new ones are ready.
 * - A release names what its pools hold: when a pool's version changes, or none of its targets stays, pins to the old
 *   release would lead to another version than they were given for. So the live release changes then, and so does the one
 *   that `previous` would bring back. A split alone never changes it: raising a weight must move nobody twice.
 * - A pool that comes to a service takes a number of its own, `born`, and its pins name that too: a pool that was removed and
 *   returns as something else is not the one that they were given for. Only `restore`, which brings back what a pool held,
 *   brings back its number, and only together with the release: it is the two that say what pins were given for.
 */

import { canonicalSplit } from '../config/canonical.ts'
import { mapEntries, own, sameEntries } from '../config/record.ts'
import type { PoolSpec, ServiceSpec, Services, Weights } from '../config/schema.ts'
import { TurnoutError } from '../errors.ts'
import { sameShares } from '../table/allotment.ts'
import type { PoolIntent, ServiceIntent, ServiceObserved, TargetIntent } from '../table/status.ts'
import { type Birth, Issuer, type Releases } from './releases.ts'

/**
 * What changes work on: the services, each with its canonical split, and an intent for each. What this process has seen is
 * there to be read; no change ever changes it.
 */
export interface Content {
  readonly services: Services
  readonly intents: Readonly<Record<string, ServiceIntent>>
  readonly observed: Readonly<Record<string, ServiceObserved>>
  readonly releases: Releases
  readonly base: Base
  /** Services of which something is stored that cannot be served. */
  readonly leftOut: readonly string[]
}

/** The services of the config file as they were last applied, for telling what has changed in it since. */
export interface Base {
  /** null when no file was applied yet. */
  readonly services: Services | null
  /** Services that were in it, and what they were cannot be known any more. */
  readonly lost: readonly string[]
  /** Names of the files that were applied, the last one last. */
  readonly files: readonly string[]
}

/** The content before there is any. */
export const NOTHING: Content = Object.freeze({
  services: {},
  intents: {},
  observed: {},
  releases: { last: 0, run: '' },
  base: { services: null, lost: [], files: [] },
  leftOut: [],
})

/**
 * The spec with its canonical split. Weights of pools that do not exist are left for validation to report, unless they are 0.
 * Throws `invalid` when it cannot be known where the traffic goes.
 */
export function canonical(spec: ServiceSpec): ServiceSpec {
  const next = canonicalSplit(spec)
  if (next.live !== undefined) throw invalid('/live', 'Give either a split or a live pool, not both.')
  if (next.split === undefined) {
    throw invalid('/split', 'A split or a live pool is needed when there is not exactly one pool.')
  }
  return next
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
  const releases = new Issuer(before.releases)
  const intents = mapEntries<ServiceSpec, ServiceIntent>(services, (spec, name) => {
    const oldSpec = own(before.services, name)
    const oldIntent = own(before.intents, name)
    const old = oldSpec && oldIntent && { spec: oldSpec, intent: oldIntent }
    return reconcileService(spec, releases, old, own(remembered, name))
  })
  const same = sameEntries(intents, before.intents)
  return { ...before, services, intents: same ? before.intents : intents, releases: releases.given }
}

/** The intent of one service; `before` is absent for a new one. */
export function reconcileService(
  spec: ServiceSpec,
  releases: Issuer,
  before?: { readonly spec: ServiceSpec; readonly intent: ServiceIntent },
  remembered?: ServiceIntent,
): ServiceIntent {
  if (before === undefined) {
    // A rollout that ran, or was done, when it was remembered is long over, and so are a hold and maintenance.
    const {
      release,
      previous,
      trial: _trial,
      done: _done,
      undone: _undone,
      hold: _hold,
      maintenance: _maintenance,
      ...rest
    }: Omit<ServiceIntent, 'pools'> = remembered ?? {
      release: releases.next(),
      previous: null,
    }
    const pools = reconcilePools(spec, {}, remembered?.pools, (old) => old ?? {})
    return { ...rest, release, pools, previous: stillPossible(previous, spec) }
  }
  const { intent } = before
  const known = remembered?.release === intent.release
  const born = (old?: PoolIntent) => (known && old !== undefined ? old : releases.birth())
  const pools = reconcilePools(spec, withoutStandby(intent.pools, before.spec, spec), remembered?.pools, born)
  const released = afterContent(intent, before.spec, spec, releases)
  const moved = !sameShares(splitOf(before.spec), splitOf(spec))
  // The release is read after afterContent: when the pools hold something else now, `back` must not revive its pins.
  const previous = moved ? { weights: splitOf(before.spec), release: released.release } : released.previous
  const { done, undone, ...kept } = released
  const isSettled = moved || Object.keys(before.spec.pools).some((name) => !Object.hasOwn(spec.pools, name))
  const noted = { ...(done && !isSettled && { done }), ...(undone && !moved && { undone }) }
  const next = { ...kept, ...noted, pools, previous: stillPossible(previous, spec) }
  const same = pools === intent.pools && next.previous === intent.previous && released === intent
  return same ? intent : next
}

/** What holds something else now is no standby any more. */
function withoutStandby(pools: Pools, oldSpec: ServiceSpec, spec: ServiceSpec): Pools {
  return mapEntries<PoolIntent, PoolIntent>(pools, ({ keptUntilMs, ...rest }, name) => {
    const [old, now] = [own(oldSpec.pools, name), own(spec.pools, name)]
    if (keptUntilMs === undefined || old === undefined || now === undefined || !holdsOther(old, now)) return pools[name]
    return rest
  })
}

/** New releases when a pool holds something else now: for the live split, and for the one that `back` returns to. */
function afterContent(intent: ServiceIntent, oldSpec: ServiceSpec, spec: ServiceSpec, releases: Issuer): ServiceIntent {
  if (!anyHoldsOther(oldSpec, spec)) return intent
  const { previous } = intent
  const release = releases.next()
  if (previous === null) return { ...intent, release }
  const before = previous.release === intent.release ? release : releases.next()
  return { ...intent, release, previous: { ...previous, release: before } }
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

/** A split is not one to go back to when a pool that it gave traffic to is gone. */
export function stillPossible(previous: ServiceIntent['previous'], spec: ServiceSpec): ServiceIntent['previous'] {
  if (previous === null) return null
  const gone = Object.entries(previous.weights).some(([pool, weight]) => weight > 0 && !Object.hasOwn(spec.pools, pool))
  return gone ? null : previous
}

type Pools = ServiceIntent['pools']

function reconcilePools(spec: ServiceSpec, pools: Pools, remembered: Pools = {}, born: BirthOf): Pools {
  const next = mapEntries<PoolSpec, PoolIntent>(spec.pools, (pool, name) =>
    reconcilePool(pool, own(pools, name), own(remembered, name), born),
  )
  return sameEntries(next, pools) ? pools : next
}

/** The number of a pool that comes, and may have been there before. */
type BirthOf = (old?: PoolIntent) => Birth

/** What people set on a pool or a target that returns is kept. */
function reconcilePool(
  spec: PoolSpec,
  intent: PoolIntent | undefined,
  remembered: PoolIntent | undefined,
  born: BirthOf,
): PoolIntent {
  const { targets: _targets, ...rest } = intent ?? numbered(remembered ?? NEW_POOL, born(remembered))
  const old = intent?.targets ?? {}
  const known = (url: string) => own(old, url) ?? (remembered && own(remembered.targets, url)) ?? NEW_TARGET
  const next = Object.fromEntries(spec.targets.map((url) => [url, known(url)]))
  const targets = sameEntries(next, old) ? old : next
  return intent !== undefined && targets === old ? intent : { ...rest, targets }
}

/** The pool with this number, or with none. */
export function numbered({ born: _born, bornBy: _by, ...pool }: PoolIntent, { born, bornBy }: Birth): PoolIntent {
  return { ...pool, ...(born !== undefined && { born }), ...(bornBy !== undefined && { bornBy }) }
}

const NEW_TARGET: TargetIntent = Object.freeze({ admin: 'ready', drainUntilMs: 0 })

const NEW_POOL: PoolIntent = Object.freeze({ ...NEW_TARGET, targets: {} })
