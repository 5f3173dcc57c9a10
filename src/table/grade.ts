/** How good each target of a pool is for a request: what balance.ts counts, and policy.ts chooses from. */
import { failing, targetAdmits } from './eligible.ts'
import type { Draw, Load, OwnCookie, PoolTable, RequestView, ServiceTable, TargetTable } from './types.ts'

/** What choosing a target needs to know, and what it finds out. */
export interface Choice {
  readonly view: RequestView
  readonly service: ServiceTable
  readonly load: Load
  readonly draw: Draw
  readonly nowMs: number
  readonly exclude: readonly TargetTable[]
  /** Taken only when no other is as good; null once that is known. */
  avoid: TargetTable | null
  /** Targets, perhaps of an earlier table, that the client has logged in at by a connection. */
  readonly tied: readonly TargetTable[]
  /** The visitor's cookie when it is of this service and its live release. */
  readonly kept: OwnCookie | null
  visitor: string | null
  /** True when the visitor is new and the target will be noted in its cookie, so any may be taken. */
  fresh: boolean
  /** Set when health was ignored. */
  panic: boolean
  /** Targets of the pool that have no room, as it was found once: other workers count all the while. */
  crowded: ReadonlySet<TargetTable>
  /** Set to the pool when only room is missing. */
  waitsFor: PoolTable | null
}

/** Best first: see balance.ts. */
export type Grade = 0 | 1 | 2 | 3
export const FIT = 0
export const UNSURE = 1
export const FAILING = 2
export const OUT = 3

/** How good a target is for this request, whoever was tried before. */
export function gradeOf(target: TargetTable, choice: Choice): Grade {
  if (!targetAdmits(target, choice.kept, choice.nowMs)) return OUT
  if (failing(target, choice.nowMs)) return FAILING
  return choice.service.probed && target.health === 'unknown' ? UNSURE : FIT
}

/** Whether it is out of order for this request. */
export function isExcluded(target: TargetTable, choice: Choice): boolean {
  for (const excluded of choice.exclude) if (isSamePlace(excluded, target)) return true
  return false
}

/** Whether another is taken first. */
export const isAvoided = (target: TargetTable, choice: Choice): boolean =>
  choice.avoid !== null && isSamePlace(choice.avoid, target)

const isSamePlace = (a: TargetTable, b: TargetTable): boolean => a.address === b.address && a.port === b.port

/** Whether the request may go there, when the best that there is has the grade `worst`. */
export function isCandidate(target: TargetTable, worst: Grade, choice: Choice): boolean {
  if (gradeOf(target, choice) > worst || isExcluded(target, choice) || isAvoided(target, choice)) return false
  return !choice.crowded.has(target)
}
