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
 *
 * A target at its limit (room.ts) is not taken while another of the pool that is no failure has room, whatever the policy: a hash goes
 * to the next in its order, and so do those who are kept at a target, since an answer now is worth more than the same target later;
 * their cookie goes on noting that, so they are back with the next request.
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
import { crowdedOf, hasRoom, NONE } from './room.ts'
import type { PoolTable, TargetTable } from './types.ts'

const SMALL_POOL = 3

/** A target of the pool, or null when none is eligible. Sets `choice.panic`. */
export function chooseTarget(pool: PoolTable, choice: Choice): TargetTable | null {
  const { capacity } = choice.service
  choice.crowded = NONE
  if (pool.allFit && choice.exclude.length === 0 && choice.avoid === null) {
    const target = pick(pool, FIT, pool.targets.length, choice)
    if (capacity === null || hasRoom(target, capacity, choice.load)) return target
  }
  if (capacity !== null) choice.crowded = crowdedOf(pool, capacity, choice.load)
  let fit = 0
  let unsure = 0
  let crowded = 0
  let avoided: Grade = OUT
  let bad = 0
  let excluded = 0
  for (const target of pool.targets) {
    const grade = gradeOf(target, choice)
    if (grade === OUT) continue
    if (grade === FAILING) bad++
    else if (isExcluded(target, choice)) excluded++
    else if (choice.crowded.has(target)) crowded++
    else if (isAvoided(target, choice)) avoided = grade
    else if (grade === FIT) fit++
    else unsure++
  }
  const good = fit + unsure + crowded + excluded + (avoided === OUT ? 0 : 1)
  if (good > 0 && bad > good && good + bad > SMALL_POOL) return lastResort(pool, choice)
  if (fit + (avoided === FIT ? 0 : unsure) === 0 && avoided !== OUT) {
    choice.avoid = null
    return pick(pool, avoided, 1, choice)
  }
  if (fit > 0) return pick(pool, FIT, fit, choice)
  if (unsure > 0) return pick(pool, UNSURE, unsure, choice)
  if (crowded > 0) choice.waitsFor = pool
  return null
}

/** Any target that the admin states let in, whatever its health; null when there is none. Sets `choice.panic`. */
export function lastResort(pool: PoolTable, choice: Choice): TargetTable | null {
  // It may be the only one here that is well.
  choice.avoid = null
  const { capacity } = choice.service
  choice.crowded = capacity === null ? NONE : crowdedOf(pool, capacity, choice.load)
  let count = 0
  for (const target of pool.targets) if (isCandidate(target, FAILING, choice)) count++
  if (count === 0) {
    const waits = choice.crowded.size > 0 && pool.targets.some((target) => admitsTried(target, choice))
    if (waits) choice.waitsFor = pool
    return null
  }
  choice.panic = true
  return pick(pool, FAILING, count, choice)
}

/** The target of the pool that the client is tied to, while it may take requests like others; null when there is none. */
export function tiedTarget(pool: PoolTable, choice: Choice): TargetTable | null {
  if (choice.tied.length === 0) return null
  for (const { slot, url } of choice.tied) {
    for (const target of pool.targets) {
      const isIt = target.slot === slot && target.url === url
      if (!isIt || !eligible(target, choice.kept, choice.nowMs) || isExcluded(target, choice)) continue
      const { capacity } = choice.service
      if (capacity === null || hasRoom(target, capacity, choice.load)) return target
    }
  }
  return null
}

/** Whether only room is missing for a request that takes any health. */
const admitsTried = (target: TargetTable, choice: Choice): boolean =>
  gradeOf(target, choice) !== OUT && !isExcluded(target, choice)
