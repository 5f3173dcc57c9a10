/**
 * Which target of a pool: first who may be chosen, then one of them by the service's policy.
 *
 * Grades of a target, best first. The best grade that any target has is the one chosen from:
 *   fit     eligible
 *   unsure  eligible, but not yet probed, in a service with probes
 *   failing let in by admin state, but unhealthy or ejected: only in panic
 * Panic: when more than half of the targets that admin states let in are failing, health is ignored within the pool, so
 * that the few that are left are not crushed. Not in pools of three or fewer, where one dead target is a large share of
 * all, and not when all are failing: then other pools come first, and `lastResort` only when these have none either.
 *
 * Targets are counted and then the k-th is taken, so nothing is allocated; a pool in which all is well (`plain`) is not
 * even counted. Those of earlier tries are known by address and port: the same place would fail again in any pool or table.
 * An excluded one is out; an avoided one only while its pool has another as good, and never in panic.
 */
import { hashString, mix32 } from './bucket.ts'
import { eligible, failing, isNoted, targetAdmits } from './eligible.ts'
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
}

type Grade = 0 | 1 | 2 | 3
const FIT = 0
const UNSURE = 1
const FAILING = 2
const OUT = 3

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

function gradeOf(target: TargetTable, choice: Choice): Grade {
  if (!targetAdmits(target, choice.kept, choice.nowMs)) return OUT
  if (failing(target, choice.nowMs)) return FAILING
  return choice.service.probed && target.health === 'unknown' ? UNSURE : FIT
}

function isExcluded(target: TargetTable, choice: Choice): boolean {
  for (const excluded of choice.exclude) if (isSamePlace(excluded, target)) return true
  return false
}

const isAvoided = (target: TargetTable, choice: Choice): boolean =>
  choice.avoid !== null && isSamePlace(choice.avoid, target)

const isSamePlace = (a: TargetTable, b: TargetTable): boolean => a.address === b.address && a.port === b.port

function isCandidate(target: TargetTable, worst: Grade, choice: Choice): boolean {
  return gradeOf(target, choice) <= worst && !isExcluded(target, choice) && !isAvoided(target, choice)
}

/** One of the `count` candidates: all targets of the pool up to the grade `worst`, but the excluded and the avoided. */
function pick(pool: PoolTable, worst: Grade, count: number, choice: Choice): TargetTable {
  const sticky = choice.service.sticky
  if (sticky?.target) {
    const noted = notedTarget(pool, worst, choice)
    if (noted !== null) return noted
    if (choice.visitor !== null && !choice.fresh) return rendezvous(pool, worst, count, choice.visitor, choice)
  }
  if (choice.service.balance === 'hash') {
    return rendezvous(pool, worst, count, choice.visitor ?? choice.view.address, choice)
  }
  return count === 1 ? candidate(pool, 0, worst, count, choice) : pickByOrder(pool, worst, count, choice)
}

function pickByOrder(pool: PoolTable, worst: Grade, count: number, choice: Choice): TargetTable {
  const draw = choice.draw
  switch (choice.service.balance) {
    case 'round-robin':
      return candidate(pool, draw.turn(pool.targets[0].slot) % count, worst, count, choice)
    case 'random':
      return candidate(pool, Math.floor(draw.random() * count), worst, count, choice)
    default:
      return lessLoaded(pool, worst, count, choice)
  }
}

/** Power of two choices: of two different candidates drawn at random the one with fewer requests; the first when equal. */
function lessLoaded(pool: PoolTable, worst: Grade, count: number, choice: Choice): TargetTable {
  const { draw, load } = choice
  const first = Math.floor(draw.random() * count)
  const drawn = Math.floor(draw.random() * (count - 1))
  const a = candidate(pool, first, worst, count, choice)
  const b = candidate(pool, drawn >= first ? drawn + 1 : drawn, worst, count, choice)
  return load(b.slot) < load(a.slot) ? b : a
}

/** The candidate at an index, 0 to `count - 1`. */
function candidate(pool: PoolTable, index: number, worst: Grade, count: number, choice: Choice): TargetTable {
  if (count === pool.targets.length) return pool.targets[index]
  let left = index
  for (const target of pool.targets) {
    if (isCandidate(target, worst, choice) && left-- === 0) return target
  }
  throw new Error(`pool ${pool.name} has no candidate ${index} of ${count}`)
}

/**
 * The address that the cookie notes; when the target has it no longer, another of the same target, always the same one for a visitor.
 * Not in panic when it fails itself: a visitor is not held to a dead target.
 */
function notedTarget(pool: PoolTable, worst: Grade, choice: Choice): TargetTable | null {
  const kept = choice.kept
  if (kept === null || kept.pool !== pool.name || kept.target === '') return null
  const least = worst === FAILING ? UNSURE : worst
  let other: TargetTable | null = null
  for (const target of pool.targets) {
    if (target.tag === kept.target) return isCandidate(target, least, choice) ? target : null
    if (!isNoted(kept, target) || !isCandidate(target, least, choice)) continue
    if (other === null || score(kept.visitor, target) > score(kept.visitor, other)) other = target
  }
  return other
}

const score = (key: string, target: TargetTable): number => mix32(hashString(key) ^ target.seed)

/** Highest score of key and target wins, so a target that goes moves only its own keys. Independent of the release. */
function rendezvous(pool: PoolTable, worst: Grade, count: number, key: string, choice: Choice): TargetTable {
  const hash = hashString(key)
  const all = count === pool.targets.length
  let best: TargetTable | null = null
  let bestScore = -1
  for (const target of pool.targets) {
    const score = mix32(hash ^ target.seed)
    if (score > bestScore && (all || isCandidate(target, worst, choice))) {
      best = target
      bestScore = score
    }
  }
  if (best === null) throw new Error(`pool ${pool.name} has no candidate`)
  return best
}
