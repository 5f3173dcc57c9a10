/** Hundreds of changes of the weights in a row, as a service lives through them: who moves, who comes back, and how near the shares are. */
import { describe, expect, test } from 'vitest'
import { reallot } from '../../src/table/allotment.ts'
import { BUCKETS, bucketOf, saltOf } from '../../src/table/bucket.ts'
import type { Allotment } from '../../src/table/types.ts'
import { bulk } from '../helpers/bulk.ts'
import { browser, decideOne, makeDraw, makePlan, makeTable } from './make.ts'

const CHANGES = bulk(100, 500)
const VISITORS = Array.from({ length: 10_000 }, (_, n) => `user-${n}`)

/** Numbers from 0 to 1, the same in each run. */
function chance(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** Splits as people write them: round ones, odd ones, and pools that have nothing. */
function randomSplit(pools: number, random: () => number): number[] {
  const weights = Array.from({ length: pools }, () => {
    const kind = random()
    if (kind < 0.25) return 0
    return kind < 0.7 ? 5 * Math.ceil(random() * 20) : Math.ceil(random() * 1_000)
  })
  return weights.some((weight) => weight > 0) ? weights : randomSplit(pools, random)
}

const SALT = saltOf('shop', 'r1')
const BUCKET_OF = VISITORS.map((visitor) => bucketOf(visitor, SALT))

/** The pool of each visitor. */
function placesOf({ salt, ranges }: Allotment): Uint8Array {
  expect(salt).toBe('r1')
  const owner = new Uint8Array(BUCKETS)
  let start = 0
  for (const { pool, end } of ranges) {
    owner.fill(Number(pool), start, end)
    start = end
  }
  return Uint8Array.from(BUCKET_OF, (bucket) => owner[bucket])
}

describe.each([2, 3, 5])('%i pools', (pools) => {
  const random = chance(pools)
  const allotted = (weights: readonly number[], present?: Allotment) =>
    reallot(
      present,
      weights.map((weight, pool) => ({ pool: String(pool), weight, takesNew: true })),
      'r1',
    )
  const shareOf = (weights: readonly number[], pool: number) => weights[pool] / weights.reduce((a, b) => a + b)

  test('whoever moves, moves from a pool whose share shrank to one whose share grew, and back is back', () => {
    let weights = randomSplit(pools, random)
    let present = allotted(weights)
    let places = placesOf(present)
    let moved = 0
    for (let change = 0; change < CHANGES; change++) {
      const next = randomSplit(pools, random)
      const now = allotted(next, present)
      const then = placesOf(now)
      const grew = Array.from({ length: pools }, (_, pool) => shareOf(next, pool) - shareOf(weights, pool))
      for (const [visitor, pool] of then.entries()) {
        const was = places[visitor]
        if (was === pool) continue
        moved++
        if (!(grew[was] < 0 && grew[pool] > 0)) expect({ change, was, pool, grew }).toBe('no such move')
      }
      expect(Buffer.compare(placesOf(allotted(weights, now)), places)).toBe(0)
      ;[weights, present, places] = [next, now, then]
    }
    expect(moved).toBeGreaterThan(CHANGES * 100)
  })

  // By buckets shares are exact. What is left is chance: 10,000 ids do not fall evenly (below).
  test('the share of each pool is what was asked for, to a point in 99 of 100 cases, and never off by 1.5', () => {
    let present: Allotment | undefined
    const errors: number[] = []
    for (let change = 0; change < CHANGES; change++) {
      const weights = randomSplit(pools, random)
      present = allotted(weights, present)
      const counts = new Array<number>(pools).fill(0)
      for (const pool of placesOf(present)) counts[pool]++
      for (const [pool, count] of counts.entries())
        errors.push(Math.abs(count / VISITORS.length - shareOf(weights, pool)))
    }
    expect(errors.filter((error) => error > 0.01).length).toBeLessThan(errors.length / 100)
    expect(Math.max(...errors)).toBeLessThan(0.015)
  })
})

describe('what is left of an error is chance, and the hash adds nothing to it', () => {
  const forms: readonly ((n: number) => string)[] = [
    (n) => `user-${n}`,
    String,
    (n) => `10.7.${n >> 8}.${n & 255}`,
    (n) => `550e8400-e29b-41d4-a716-${n.toString(16).padStart(12, '0')}`,
  ]
  const sets = forms.flatMap((form) => Array.from({ length: 50 }, (_, n) => [form, saltOf('shop', `r${n}`)] as const))
  /** How many of 10,000 ids are in each hundredth of the buckets, by form and release. */
  const parts = sets.map(([form, salt]) => {
    const counts = new Uint16Array(100)
    for (let n = 0; n < VISITORS.length; n++) counts[Math.floor(bucketOf(form(n), salt) / 100)]++
    return counts
  })

  test.each([1, 10, 33, 50])('of a share of %i %%', (percent) => {
    const p = percent / 100
    const variance = VISITORS.length * p * (1 - p)
    const scores = parts.map((counts) => {
      const inside = counts.subarray(0, percent).reduce((sum, count) => sum + count, 0)
      return (inside - VISITORS.length * p) / Math.sqrt(variance)
    })
    // Binomial: the squares of the scores sum up to chi-square with a degree for each set, whose mean is 1 each, give or take.
    const chiSquare = scores.reduce((sum, z) => sum + z * z, 0)
    expect(Math.abs(chiSquare - sets.length)).toBeLessThan(3 * Math.sqrt(2 * sets.length))
    expect(Math.abs(scores.reduce((sum, z) => sum + z, 0))).toBeLessThan(3 * Math.sqrt(sets.length))
    // Two standard errors hold 95.4 of 100, at 50 % that is a point; three hold 99.7.
    const within = (limit: number) => scores.filter((z) => Math.abs(z) <= limit).length / sets.length
    expect(Math.abs(within(2) - 0.954)).toBeLessThan(0.045)
    expect(within(3)).toBeGreaterThan(0.98)
  })

  test('in every hundredth of the buckets', () => {
    let chiSquare = 0
    for (const counts of parts) for (const count of counts) chiSquare += (count - 100) ** 2 / 100
    const degrees = 99 * sets.length
    expect(Math.abs(chiSquare - degrees)).toBeLessThan(3 * Math.sqrt(2 * degrees))
  })
})

test('at 10 % sticky browsers that come a million times leave the share where it was', () => {
  const table = makeTable(makePlan({ weights: { blue: 90, green: 10 } }))
  const draw = makeDraw(3)
  const visits = bulk(10, 100)
  let cookies = Array.from({ length: 10_000 }, () => decideOne(table, { headers: browser }, draw).setCookie)
  const share = () => cookies.filter((own) => own?.pool === 'green').length / cookies.length
  const before = share()
  for (let visit = 0; visit < visits; visit++) {
    cookies = cookies.map((own) => decideOne(table, { headers: browser, own }, draw).setCookie ?? own)
  }
  expect(share()).toBe(before)
  expect(Math.abs(before - 0.1)).toBeLessThan(0.01)
})
