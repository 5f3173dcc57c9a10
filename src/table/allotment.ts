/**
 * Which pool has which buckets, and how that changes with the weights. An allotment is kept in the status of its service and from
 * then on only cut and given: nobody moves but from a pool whose share shrank to one whose share grew, and no more than the shares
 * ask for. It is computed by the one writer alone (control/allotments.ts); workers read it.
 *
 * Why it is kept: no function of the weights alone can do it for three pools. At 50:50:0 let A be who is in a, and B who is in b. At
 * 50:0:50 A must still be in a, and B is in c. At 0:50:50 B must still be in b, and A is in c. Then from 50:0:50 to 0:50:50 A moves
 * from a to c, whose share is the same in both. Ranges laid end to end break the law so, and weighted rendezvous hashing too
 * (80:10:10 to 40:8:52 moves people from a to b).
 *
 * Invariants:
 * - The ranges cover the buckets without a gap, in order. A pool without weight, or that takes no new visitors, has none.
 * - Only shares count: 80:20 and 160:40 are the same. A share is exact to a bucket, but for what the law forbids: a pool whose share
 *   stays keeps its very buckets, even where other remainders would round it otherwise.
 * - Two pools are one boundary, wherever it came from. From one pool alone, shares are cut end to end by name.
 * - The last change undone, by whatever verb, gives everybody the very same place back (`before`).
 * - The salt is the release in which the visitors were last all in one pool, for then a new salt moves nobody. So it is others who go
 *   first in each release, and a release that begins in the midst of a split moves nobody.
 */
import { BUCKETS } from './bucket.ts'
import type { Allotment, BucketRange } from './types.ts'

/** A pool as far as it claims a share. */
export interface Claim {
  readonly pool: string
  readonly weight: number
  /** Whether it takes new visitors: admin state `ready`. */
  readonly takesNew: boolean
}

type Weights = Readonly<Record<string, number>>

/** The allotment after `present` (undefined: there is none yet) for these claims; the same object when nothing of it changes. */
export function reallot(present: Allotment | undefined, claims: readonly Claim[], release: string): Allotment {
  if (present === undefined || present.ranges.length === 0) return firstAllotment(claims, release)
  const { before, ...kept } = present
  const now = kept.ranges.length === 1 ? { ...kept, salt: release } : kept
  const weights = weightsOf(claims)
  if (sameShares(now.weights, weights)) return now.salt === present.salt ? present : { ...now, before }
  if (before !== undefined && before.salt === now.salt && sameShares(before.weights, weights)) {
    return { ...before, before: now }
  }
  return { salt: now.salt, weights, ranges: cut(now, weights), before: now }
}

/**
 * End to end by name, as every allotment was before they were kept: so nobody moves when a stored document without one is loaded.
 * The share of a pool that takes nobody is spread over the others by weight, place by place.
 */
function firstAllotment(claims: readonly Claim[], release: string): Allotment {
  const pools = claims.toSorted((a, b) => byName(a.pool, b.pool))
  const sum = pools.reduce((total, { weight }) => total + weight, 0)
  const taking = pools.filter(({ takesNew, weight }) => takesNew && weight > 0)
  const takingSum = taking.reduce((total, { weight }) => total + weight, 0)
  const ranges: BucketRange[] = []
  let below = 0
  let end = 0
  for (const { pool, weight, takesNew } of sum === 0 ? [] : pools) {
    const start = end
    below += weight
    end = Math.round((below * BUCKETS) / sum)
    if (takesNew || taking.length === 0) {
      giveUpTo(end, pool, ranges)
      continue
    }
    for (let bucket = start; bucket < end; bucket++) {
      const place = ((bucket - start) / (end - start)) * takingSum
      giveUpTo(bucket + 1, heirAt(place, taking), ranges)
    }
  }
  return { salt: release, weights: weightsOf(claims), ranges }
}

/** Adds the places from the last range up to `end`, to it when it is of the same pool. */
function giveUpTo(end: number, pool: string, ranges: BucketRange[]): void {
  const last = ranges.at(-1)
  if (end === (last?.end ?? 0)) return
  if (last?.pool === pool) ranges.pop()
  ranges.push({ pool, end })
}

function heirAt(place: number, taking: readonly Claim[]): string {
  let below = 0
  for (const { pool, weight } of taking) {
    below += weight
    if (place < below) return pool
  }
  return taking[taking.length - 1].pool
}

/** What the pools have a share by; when none of them takes new visitors, the weights as they are. */
function weightsOf(claims: readonly Claim[]): Weights {
  const weighted = claims.filter(({ weight }) => weight > 0)
  const taking = weighted.filter(({ takesNew }) => takesNew)
  return Object.fromEntries((taking.length > 0 ? taking : weighted).map(({ pool, weight }) => [pool, weight]))
}

/** Whether two splits give every pool the same share. */
export function sameShares(a: Weights, b: Weights): boolean {
  const moves = movesBetween(a, b)
  return moves.givers.length === 0 && moves.takers.length === 0
}

/** The pools whose share shrinks, and those whose share grows, each by name. Exact, whatever the weights. */
export function movesBetween(from: Weights, to: Weights): { givers: string[]; takers: string[] } {
  const names = [...new Set([...Object.keys(from), ...Object.keys(to)])].sort(byName)
  const [fromSum, toSum] = [sumOf(from), sumOf(to)]
  const grown = (name: string) => BigInt(weightIn(to, name)) * fromSum - BigInt(weightIn(from, name)) * toSum
  return { givers: names.filter((name) => grown(name) < 0n), takers: names.filter((name) => grown(name) > 0n) }
}

/**
 * The ranges after these weights. How much each pool gives and takes is settled first; then givers and takers are matched in the order
 * of their names, and each giver gives the end that is nearer: its highest buckets to takers behind it, its lowest to those before.
 */
function cut(present: Allotment, weights: Weights): readonly BucketRange[] {
  let pieces = piecesOf(present.ranges)
  const { givers, takers } = traded(present, weights)
  for (const giver of givers) {
    const parts: { readonly taker: string; readonly count: number }[] = []
    for (let left = giver.moved; left > 0; ) {
      const count = Math.min(left, takers[0].moved)
      parts.push({ taker: takers[0].pool, count })
      left -= count
      takers[0].moved -= count
      if (takers[0].moved === 0) takers.shift()
    }
    for (const { taker, count } of parts.filter((part) => byName(part.taker, giver.pool) < 0)) {
      pieces = given(pieces, giver.pool, taker, count)
    }
    for (const { taker, count } of parts.filter((part) => byName(part.taker, giver.pool) > 0).reverse()) {
      pieces = given(pieces.reverse(), giver.pool, taker, count).reverse()
    }
  }
  return rangesOf(pieces)
}

/** A pool whose share changes: what it has, what it has beyond its new share, and how many buckets it gives or takes. */
interface Trader {
  readonly pool: string
  has: number
  excess: number
  moved: number
}

/**
 * How many buckets each giver gives and each taker takes: from the one that has most too many to the one that lacks most, while the two
 * are nearer to their shares for it. Exactly between two buckets, the pool that is first by name has the larger part.
 */
function traded(present: Allotment, weights: Weights): { givers: Trader[]; takers: Trader[] } {
  const counts = new Map<string, number>()
  let start = 0
  for (const { pool, end } of present.ranges) {
    counts.set(pool, (counts.get(pool) ?? 0) + end - start)
    start = end
  }
  const sum = Number(sumOf(weights))
  const trader = (pool: string): Trader => {
    const has = counts.get(pool) ?? 0
    const weight = weightIn(weights, pool)
    // Who has no weight any more gives everything, however the others are rounded.
    return { pool, has, excess: weight === 0 ? Infinity : has - (weight * BUCKETS) / sum, moved: 0 }
  }
  const moves = movesBetween(present.weights, weights)
  const [givers, takers] = [moves.givers.map(trader), moves.takers.map(trader)]
  // Beyond as many buckets as there are pools it does not matter which of them trade first.
  const few = counts.size + takers.length
  for (;;) {
    const giver = givers.filter(({ has }) => has > 0).reduce(larger, NOBODY)
    const taker = takers.reduce(smaller)
    const gain = giver.excess - taker.excess
    if (gain < 1 || (gain === 1 && byName(taker.pool, giver.pool) > 0)) break
    const many = Math.floor(Math.min(giver.excess, -taker.excess, giver.has)) - few
    const count = Math.max(many, 1)
    giver.has -= count
    giver.excess -= count
    giver.moved += count
    taker.excess += count
    taker.moved += count
  }
  return { givers: givers.filter(({ moved }) => moved > 0), takers: takers.filter(({ moved }) => moved > 0) }
}

const NOBODY: Trader = Object.freeze({ pool: '', has: 0, excess: -Infinity, moved: 0 })
const larger = (a: Trader, b: Trader): Trader => (b.excess > a.excess ? b : a)
const smaller = (a: Trader, b: Trader): Trader => (b.excess < a.excess ? b : a)

/** So many buckets of one pool, one after the other. */
interface Piece {
  readonly pool: string
  readonly size: number
}

/** The pieces with the first `count` buckets of the giver given to the taker. */
function given(pieces: readonly Piece[], giver: string, taker: string, count: number): Piece[] {
  let left = count
  return pieces.flatMap((piece) => {
    const size = piece.pool === giver ? Math.min(left, piece.size) : 0
    if (size === 0) return piece
    left -= size
    const rest = piece.size - size
    return rest === 0
      ? { pool: taker, size }
      : [
          { pool: taker, size },
          { pool: giver, size: rest },
        ]
  })
}

function piecesOf(ranges: readonly BucketRange[]): Piece[] {
  return ranges.map(({ pool, end }, at) => ({ pool, size: end - (ranges[at - 1]?.end ?? 0) }))
}

function rangesOf(pieces: readonly Piece[]): readonly BucketRange[] {
  const ranges: BucketRange[] = []
  let end = 0
  for (const { pool, size } of pieces) {
    end += size
    giveUpTo(end, pool, ranges)
  }
  return ranges
}

const weightIn = (weights: Weights, pool: string): number => (Object.hasOwn(weights, pool) ? weights[pool] : 0)

const sumOf = (weights: Weights): bigint => Object.values(weights).reduce((sum, weight) => sum + BigInt(weight), 0n)

const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
