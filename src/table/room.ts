/**
 * Whether a target, or its pool, may take one more request: by the limits of the service (`capacity`) and the permits that are held now.
 *
 * What is read here may be out of date a moment later, since all workers take permits at once. It only tells where to ask: a request
 * goes on by a permit, and whoever takes one finds out for good (dataplane/waiting/permits.ts).
 */
import type { CapacityPlan } from './plan.ts'
import type { Load, PoolTable, TargetTable } from './types.ts'

/** Of a pool where all have room. */
export const NONE: ReadonlySet<TargetTable> = new Set()

/** Whether a target and its pool are below their limits. */
export function hasRoom(target: TargetTable, limits: CapacityPlan, { permits }: Load): boolean {
  if (permits === undefined) return true
  const { requestsPerTarget, requestsPerPool } = limits
  if (requestsPerTarget > 0 && permits(target.slot) >= requestsPerTarget) return false
  return requestsPerPool === 0 || heldIn(target.pool, permits) < requestsPerPool
}

/** Requests that hold a permit at any target of a pool. Those still at a target that was taken out of it are not among them. */
export function heldIn({ targets }: PoolTable, permits: (slot: number) => number): number {
  let sum = 0
  for (const { slot } of targets) sum += permits(slot)
  return sum
}

/** The targets of a pool that have no room; all of them when the pool has none. */
export function crowdedOf(pool: PoolTable, limits: CapacityPlan, { permits }: Load): ReadonlySet<TargetTable> {
  if (permits === undefined) return NONE
  const { requestsPerTarget, requestsPerPool } = limits
  if (requestsPerPool > 0 && heldIn(pool, permits) >= requestsPerPool) return new Set(pool.targets)
  if (requestsPerTarget === 0) return NONE
  let crowded: Set<TargetTable> | null = null
  for (const target of pool.targets) {
    if (permits(target.slot) < requestsPerTarget) continue
    crowded ??= new Set()
    crowded.add(target)
  }
  return crowded ?? NONE
}

/** Whether any target of a pool may take one more request, whatever its health. */
export function poolHasRoom(pool: PoolTable, limits: CapacityPlan, load: Load): boolean {
  return crowdedOf(pool, limits, load).size < pool.targets.length
}
