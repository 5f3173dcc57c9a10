/**
 * Keeps the status in step with the spec: which pools and targets have a status, which release is live, and which split
 * `back` returns to. Pure; what did not change keeps its identity, so that a caller finds changes by comparing references.
 *
 * Invariants:
 * - A status has exactly the services, pools and targets of the spec. Kept ones keep all three axes (admin state, health,
 *   ejection); new ones are ready, unknown, not ejected, and have no slot yet (-1).
 * - A release names what its pools hold: when a pool's version changes, or none of its targets stays, pins to the old
 *   release would lead to another version than they were given for. So the live release changes then, and so does the one
 *   that `previous` would bring back. A split alone never changes it: raising a weight must move nobody twice.
 * - `releaseLast` only grows, so no release is given out twice in the life of a service.
 */
import type { PoolSpec, ServiceSpec, Services, Weights } from '../config/schema.ts'
import { TurnoutError } from '../errors.ts'
import type { PoolStatus, ServiceStatus, TargetStatus } from '../table/types.ts'
import { mapEntries, own, sameEntries } from './record.ts'

/** What changes work on: the services, each with its canonical split, and a status for each. */
export interface Content {
  readonly services: Services
  readonly status: Readonly<Record<string, ServiceStatus>>
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

/** The status of all services after a change of the spec; `remembered` is where services and pools that return look first. */
export function reconcileStatus(
  services: Services,
  before: Content,
  remembered: Content['status'] = {},
): Content['status'] {
  const status = mapEntries<ServiceSpec, ServiceStatus>(services, (spec, name) => {
    const oldSpec = own(before.services, name)
    const oldStatus = own(before.status, name)
    const old = oldSpec && oldStatus && { spec: oldSpec, status: oldStatus }
    return reconcileService(spec, old, own(remembered, name))
  })
  return sameEntries(status, before.status) ? before.status : status
}

/** The status of one service; `before` is absent for a new one. */
export function reconcileService(
  spec: ServiceSpec,
  before?: { readonly spec: ServiceSpec; readonly status: ServiceStatus },
  remembered?: ServiceStatus,
): ServiceStatus {
  const status = before?.status ?? (remembered ? { ...remembered, slot: -1 } : FIRST_STATUS)
  const pools = reconcilePools(spec, before ? status.pools : {}, remembered?.pools)
  const released = before ? afterContent(status, before.spec, spec) : status
  const moved = before !== undefined && !sameWeights(splitOf(before.spec), splitOf(spec))
  // The old release is read after afterContent: when the pools hold something else now, `back` must not revive its pins.
  const replaced = released.release !== status.release
  const previous = moved
    ? { weights: splitOf(before.spec), release: replaced ? released.release : status.release }
    : released.previous
  const next = { ...released, pools, previous: stillPossible(previous, spec) }
  const same = pools === status.pools && next.previous === status.previous && !replaced
  return same && released === status && before ? status : next
}

const FIRST_STATUS: ServiceStatus = Object.freeze({
  release: 'r1',
  releaseLast: 1,
  pools: {},
  previous: null,
  slot: -1,
})

/** The status with the next release; releases are never given out twice. */
export function withNextRelease(status: ServiceStatus): ServiceStatus {
  const releaseLast = status.releaseLast + 1
  return { ...status, release: `r${releaseLast}`, releaseLast }
}

/** New releases when a pool holds something else now: for the live split, and for the one that `back` returns to. */
function afterContent(status: ServiceStatus, oldSpec: ServiceSpec, spec: ServiceSpec): ServiceStatus {
  if (!holdsOther(oldSpec, spec)) return status
  const live = withNextRelease(status)
  if (status.previous === null) return live
  if (status.previous.release === status.release) {
    return { ...live, previous: { ...status.previous, release: live.release } }
  }
  const further = withNextRelease(live)
  return {
    ...live,
    releaseLast: further.releaseLast,
    previous: { ...status.previous, release: further.release },
  }
}

/** Whether a pool has another version, or none of the targets that it had. */
function holdsOther(oldSpec: ServiceSpec, spec: ServiceSpec): boolean {
  return Object.entries(oldSpec.pools).some(([name, old]) => {
    const pool = own(spec.pools, name)
    if (pool === undefined || pool === old) return false
    const targets = new Set(pool.targets)
    const replaced = old.targets.length > 0 && !old.targets.some((url) => targets.has(url))
    return pool.version !== old.version || replaced
  })
}

/** Whether two splits send the same; a pool of weight 0 and an absent pool are the same. */
export function sameWeights(a: Weights, b: Weights): boolean {
  const names = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...names].every((name) => (own(a, name) ?? 0) === (own(b, name) ?? 0))
}

/** A split is not one to go back to when a pool that it gave traffic to is gone. */
function stillPossible(previous: ServiceStatus['previous'], spec: ServiceSpec): ServiceStatus['previous'] {
  if (previous === null) return null
  const gone = Object.entries(previous.weights).some(([pool, weight]) => weight > 0 && !Object.hasOwn(spec.pools, pool))
  return gone ? null : previous
}

type Pools = ServiceStatus['pools']

function reconcilePools(spec: ServiceSpec, pools: Pools, remembered: Pools = {}): Pools {
  const probed = spec.health !== undefined
  const next = mapEntries<PoolSpec, PoolStatus>(spec.pools, (pool, name) =>
    reconcilePool(pool, own(pools, name), own(remembered, name), probed),
  )
  return sameEntries(next, pools) ? pools : next
}

function reconcilePool(
  spec: PoolSpec,
  status: PoolStatus | undefined,
  remembered: PoolStatus | undefined,
  probed: boolean,
): PoolStatus {
  const { admin, drainUntilMs } = status ?? remembered ?? NEW_TARGET
  const old = status?.targets ?? {}
  const next = Object.fromEntries(
    spec.targets.map((url) => {
      const target = own(old, url) ?? newTarget(remembered && own(remembered.targets, url))
      // Without probes nothing would ever call it healthy again.
      const known = probed || target.health === 'unknown'
      return [url, known ? target : { ...target, health: 'unknown' as const }]
    }),
  )
  const targets = sameEntries(next, old) ? old : next
  return status !== undefined && targets === old ? status : { admin, drainUntilMs, targets }
}

const NEW_TARGET: TargetStatus = Object.freeze({
  admin: 'ready',
  drainUntilMs: 0,
  health: 'unknown',
  ejectedUntilMs: 0,
  slot: -1,
})

/** What people set on a target that returns is kept; what was seen of it then says nothing about now. */
function newTarget(remembered: TargetStatus | undefined): TargetStatus {
  const { admin, drainUntilMs } = remembered ?? NEW_TARGET
  return { ...NEW_TARGET, admin, drainUntilMs }
}
