/**
 * One of the targets that are good enough for a request (balance.ts), by the policy of the service and the weights within the pool.
 *
 * A target that warms up has a part of its weight (warmth.ts). Where all weights are the same nothing is weighed: targets are counted and the k-th is taken. Else, with W the sum of the weights:
 *   round-robin    the n-th request goes to the place frac(n × golden ratio) × W of the weights laid end to end: places that follow
 *                  each other are far apart, and any run of requests has every share to a few requests at most. Nothing but n is kept.
 *   random         the same with a random place.
 *   least-request  two different targets drawn so; of these the one with fewer requests for its weight, the first when equal. So an
 *                  idle pool is shared by weight, and a busy one until each has as many requests as its weight says.
 *   least-latency  the same, but each request at a target counts for as long as the target takes to answer, and the one to come, too.
 *                  One that has not answered yet is free for the first request, and dear for any other until that is answered.
 *   hash           weighted rendezvous: the highest -weight / ln(hash of key and target) wins (Thaler and Ravishankar). Each target
 *                  has its share by weight, and a weight that grows moves keys to that target only. With equal weights the order
 *                  is that of the hashes, so a key is at the same target whether or not the weights were looked at.
 */
import { hashString, mix32 } from './bucket.ts'
import { isNoted } from './eligible.ts'
import { type Choice, FAILING, type Grade, isCandidate, UNSURE } from './grade.ts'
import type { HashSource } from './plan.ts'
import type { Load, PoolTable, RequestView, TargetTable } from './types.ts'
import { partAt } from './warmth.ts'

/** 2^32 over the golden ratio. */
const GOLDEN_STEP = 0x9e3779b9
/** What a request counts for at a target that has answered none. */
const UNKNOWN_MS = 1_000

/** One of the `count` candidates: all targets of the pool up to the grade `worst`, but the excluded and the avoided. */
export function pick(pool: PoolTable, worst: Grade, count: number, choice: Choice): TargetTable {
  const { service, visitor } = choice
  if (service.sticky?.target) {
    const noted = notedTarget(pool, worst, choice)
    if (noted !== null) return noted
    if (visitor !== null && !choice.fresh) return rendezvous(pool, worst, count, visitor, choice)
  }
  if (service.balance === 'hash') {
    const key = service.hashOn === null ? undefined : keyOf(service.hashOn, choice.view)
    return rendezvous(pool, worst, count, key ?? visitor ?? choice.view.address, choice)
  }
  if (count === 1) return candidate(pool, 0, worst, count, choice)
  return isEven(pool, choice) ? pickByOrder(pool, worst, count, choice) : pickByWeight(pool, worst, count, choice)
}

/** Whether there is nothing to weigh: always, but where weights differ or a target warms up. */
const isEven = (pool: PoolTable, { nowMs }: Choice): boolean => pool.isEven && nowMs >= pool.weighedUntilMs

/** The weight of a target now. */
const weightOf = ({ weight, warmUntilMs }: TargetTable, { nowMs, service }: Choice): number =>
  nowMs >= warmUntilMs ? weight : weight * partAt(warmUntilMs, service.slowStartMs, nowMs)

function keyOf(source: HashSource, view: RequestView): string | undefined {
  if (source.from === 'path') return view.path
  return source.from === 'header' ? view.header(source.name) : view.cookie(source.name)
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

/** Power of two choices: of two different candidates drawn at random the one with less to do; the first when equal. */
function lessLoaded(pool: PoolTable, worst: Grade, count: number, choice: Choice): TargetTable {
  const draw = choice.draw
  const first = Math.floor(draw.random() * count)
  const drawn = Math.floor(draw.random() * (count - 1))
  const a = candidate(pool, first, worst, count, choice)
  const b = candidate(pool, drawn >= first ? drawn + 1 : drawn, worst, count, choice)
  return isCheaper(b, a, choice) ? b : a
}

/** Whether a target has less to do for its weight. */
function isCheaper(a: TargetTable, b: TargetTable, choice: Choice): boolean {
  const { load, service } = choice
  const isTimed = service.balance === 'least-latency'
  const hereA = isTimed ? waitAt(a, load) : load(a.slot)
  const hereB = isTimed ? waitAt(b, load) : load(b.slot)
  return hereA * weightOf(b, choice) < hereB * weightOf(a, choice)
}

/** What the requests at a target and one more take, one after the other. */
function waitAt({ slot }: TargetTable, load: Load): number {
  const busy = load(slot)
  const ms = load.latencyMs?.(slot, busy === 0) ?? 0
  if (ms === 0) return busy * UNKNOWN_MS
  return ms * (busy + 1)
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

function pickByWeight(pool: PoolTable, worst: Grade, count: number, choice: Choice): TargetTable {
  const { draw, service } = choice
  const isAll = count === pool.targets.length
  let sum = 0
  for (const target of pool.targets) if (isAll || isCandidate(target, worst, choice)) sum += weightOf(target, choice)
  if (service.balance === 'round-robin') {
    const turn = Math.imul(draw.turn(pool.targets[0].slot), GOLDEN_STEP) >>> 0
    return candidateAt(pool, (turn / 2 ** 32) * sum, null, worst, isAll, choice)
  }
  const a = candidateAt(pool, draw.random() * sum, null, worst, isAll, choice)
  if (service.balance === 'random') return a
  const b = candidateAt(pool, draw.random() * (sum - weightOf(a, choice)), a, worst, isAll, choice)
  return isCheaper(b, a, choice) ? b : a
}

/** The candidate at a mark, 0 to the sum of the weights, but for the one that was drawn already. */
function candidateAt(
  pool: PoolTable,
  mark: number,
  drawn: TargetTable | null,
  worst: Grade,
  isAll: boolean,
  choice: Choice,
): TargetTable {
  let below = 0
  let last: TargetTable | null = null
  for (const target of pool.targets) {
    if (target === drawn || !(isAll || isCandidate(target, worst, choice))) continue
    // Of weight 0 there is only who is let in by its cookie: better than nobody.
    if (target.weight > 0 || last === null) last = target
    below += weightOf(target, choice)
    if (mark < below) return target
  }
  if (last === null) throw new Error(`pool ${pool.name} has no candidate at ${mark}`)
  return last
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
  const isAll = count === pool.targets.length
  const even = isEven(pool, choice)
  let best: TargetTable | null = null
  let bestScore = -1
  for (const target of pool.targets) {
    const mixed = mix32(hash ^ target.seed)
    const score = even ? mixed : -weightOf(target, choice) / Math.log((mixed + 0.5) / 2 ** 32)
    if (score > bestScore && (isAll || isCandidate(target, worst, choice))) {
      best = target
      bestScore = score
    }
  }
  if (best === null) throw new Error(`pool ${pool.name} has no candidate`)
  return best
}
