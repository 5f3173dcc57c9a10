/** A decision in the making, and what several of its phases ask of it. */
import type { Choice } from './grade.ts'
import type { Decision, OwnCookie, PoolTable, Reason, ServiceTable } from './types.ts'

/** What the phases of `decide` fill in. */
export interface Draft extends Choice {
  readonly own: OwnCookie | null
  bucket: number
  /** As in the decision. */
  readonly visitorHash: number
  aimed: PoolTable | null
  reason: Reason
  rule: string | null
  pin: boolean
  denied: readonly PoolTable[]
  readonly missing: readonly string[]
  readonly isLost: boolean
  /** As in `Earlier`. */
  readonly givenId: string | null
  /** Of a request that has waited: the decision that found no room. */
  readonly waited: Decision | null
}

/** Aims at a pool. True, so that a phase may end with it. */
export function aim(draft: Draft, pool: PoolTable | null, reason: Reason): boolean {
  draft.aimed = pool
  draft.reason = reason
  return true
}

/** The pool of this name, or null. */
export function poolNamed(service: ServiceTable, name: string): PoolTable | null {
  for (const pool of service.pools) if (pool.name === name) return pool
  return null
}

/** Whether a pool is open to those who are new. */
export function takesNew(draft: Draft, pool: PoolTable): boolean {
  return pool.admin === 'ready' && !isDenied(draft, pool)
}

/** Whether a rule denies the pool to the request. Few requests are denied any, and those are spared a walk through none. */
export function isDenied({ denied }: Pick<Draft, 'denied'>, pool: PoolTable): boolean {
  return denied.length > 0 && denied.includes(pool)
}
