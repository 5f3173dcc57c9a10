/**
 * Which target of a pool: who may be chosen; which of them, says the service's policy (policy.ts).
 *
 * Grades of a target, best first. The best grade that any target has is the one chosen from:
 *   fit     eligible
 *   unsure  eligible, but not yet probed, in a service with probes
 *   failing let in by admin state, but unhealthy or ejected: only in panic
 * Panic: when more than half of the targets that admin states let in are failing, health is ignored within the pool, so
 * that the few that are left are not crushed. Not in pools of three or fewer, where one dead target is a large share of
 * all, and not when all are failing: then other pools come first, and `lastResort` only when these have none either.
 *
 * Targets are counted and then the k-th is taken, so nothing is allocated; a pool in which all is well (`allFit`) is not
 * even counted. Those of earlier tries are known by address and port: the same place would fail again in any pool or table.
 * An excluded one is out; an avoided one only while its pool has another as good, and never in panic.
 */
import { eligible } from './eligible.ts'
import {
  type Choice,
  FAILING,
  FIT,
  type Grade,
  gradeOf,
  isAvoided,
  isCandidate,
  isExcluded,
  OUT,
  UNSURE,
} from './grade.ts'
import { pick } from './policy.ts'
import type { PoolTable, TargetTable } from './types.ts'

const SMALL_POOL = 3

/** A target of the pool, or null when none is eligible. Sets `choice.panic`. */
export function chooseTarget(pool: PoolTable, choice: Choice): TargetTable | null {
  if (pool.allFit && choice.exclude.length === 0 && choice.avoid === null) {
    return pick(pool, FIT, pool.targets.length, choice)
  }
  let fit = 0
  let unsure = 0
  let avoided: Grade = OUT
  let bad = 0
  let excluded = 0
  for (const target of pool.targets) {
    const grade = gradeOf(target, choice)
    if (grade === OUT) continue
    if (grade === FAILING) bad++
    else if (isExcluded(target, choice)) excluded++
    else if (isAvoided(target, choice)) avoided = grade
    else if (grade === FIT) fit++
    else unsure++
  }
  const good = fit + unsure + excluded + (avoided === OUT ? 0 : 1)
  if (good > 0 && bad > good && good + bad > SMALL_POOL) return lastResort(pool, choice)
  if (fit + (avoided === FIT ? 0 : unsure) === 0 && avoided !== OUT) {
    choice.avoid = null
    return pick(pool, avoided, 1, choice)
  }
  if (fit > 0) return pick(pool, FIT, fit, choice)
  if (unsure > 0) return pick(pool, UNSURE, unsure, choice)
  return null
}

/** Any target that the admin states let in, whatever its health; null when there is none. Sets `choice.panic`. */
export function lastResort(pool: PoolTable, choice: Choice): TargetTable | null {
  // It may be the only one here that is well.
  choice.avoid = null
  let count = 0
  for (const target of pool.targets) if (isCandidate(target, FAILING, choice)) count++
  if (count === 0) return null
  choice.panic = true
  return pick(pool, FAILING, count, choice)
}

/** The target of the pool that the client is tied to, while it may take requests like others; null when there is none. */
export function tiedTarget(pool: PoolTable, choice: Choice): TargetTable | null {
  if (choice.tied.length === 0) return null
  for (const { slot, url } of choice.tied) {
    for (const target of pool.targets) {
      const isIt = target.slot === slot && target.url === url
      if (isIt && eligible(target, choice.kept, choice.nowMs) && !isExcluded(target, choice)) return target
    }
  }
  return null
}
