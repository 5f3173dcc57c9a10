import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Claim, reallot } from '../../src/table/allotment.ts'
import type { Allotment } from '../../src/table/types.ts'
import { bulk } from '../helpers/bulk.ts'

type Weights = Readonly<Record<string, number>>
const claimsOf = (weights: Weights, out: readonly string[] = []): Claim[] =>
  Object.entries(weights).map(([pool, weight]) => ({ pool, weight, takesNew: !out.includes(pool) }))
const allot = (weights: Weights, present?: Allotment, release = 'r1') => reallot(present, claimsOf(weights), release)
/** What comes of one split after the other. */
const allotted = (...splits: Weights[]) =>
  splits.reduce<Allotment | undefined>((present, weights) => allot(weights, present), undefined) as Allotment

/** The pool of each of the 10,000 buckets. */
function owners({ ranges }: Allotment): string[] {
  const pools: string[] = []
  for (const { pool, end } of ranges) while (pools.length < end) pools.push(pool)
  expect(pools.length).toBe(10_000)
  return pools
}

function counts(allotment: Allotment): Record<string, number> {
  const all: Record<string, number> = {}
  for (const pool of owners(allotment)) all[pool] = (all[pool] ?? 0) + 1
  return all
}

const sum = (weights: Weights) => Object.values(weights).reduce((total, weight) => total + weight, 0)
/** 1 when the share of a pool grew, -1 when it shrank; exact. */
const trend = (pool: string, from: Weights, to: Weights): number => {
  const [was, is] = [BigInt(from[pool] ?? 0) * BigInt(sum(to)), BigInt(to[pool] ?? 0) * BigInt(sum(from))]
  return is > was ? 1 : is < was ? -1 : 0
}

/** Buckets that moved, as `a→b`. */
function moves(from: Allotment, to: Allotment): string[] {
  const now = owners(to)
  return owners(from).flatMap((pool, bucket) => (pool === now[bucket] ? [] : [`${pool}→${now[bucket]}`]))
}

const weight = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 0, max: 100 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1, 999_999, 1_000_000) },
)
const splitOf = (pools: number) =>
  fc
    .array(weight, { minLength: pools, maxLength: pools })
    .filter((weights) => weights.some((each) => each > 0))
    .map((weights): Weights => Object.fromEntries(weights.map((each, index) => ['abcdef'[index], each])))
const history = fc
  .integer({ min: 2, max: 6 })
  .chain((pools) => fc.array(splitOf(pools), { minLength: 2, maxLength: 8 }))

describe('when the weights of any number of pools change', () => {
  test('who moves, moves from a pool whose share shrank to one whose share grew', () => {
    fc.assert(
      fc.property(history, (splits) => {
        let [present, weights] = [allot(splits[0]), splits[0]]
        for (const next of splits.slice(1)) {
          const now = allot(next, present)
          for (const move of new Set(moves(present, now))) {
            const [from, to] = move.split('→')
            expect([move, trend(from, weights, next), trend(to, weights, next)]).toEqual([move, -1, 1])
          }
          ;[present, weights] = [now, next]
        }
      }),
      { numRuns: bulk(60, 150) },
    )
  })

  test('no more move than the shares ask for, and every share is exact to a bucket, or as near as the others may be rounded', () => {
    fc.assert(
      fc.property(history, (splits) => {
        const present = allotted(...splits.slice(0, -1))
        const now = allotted(...splits)
        const [had, has] = [counts(present), counts(now)]
        const grown = Object.keys(has).reduce((total, pool) => total + Math.max(0, has[pool] - (had[pool] ?? 0)), 0)
        expect(moves(present, now).length).toBe(grown)
        const last = splits[splits.length - 1]
        for (const [pool, each] of Object.entries(last)) {
          const error = Math.abs((has[pool] ?? 0) - (each * 10_000) / sum(last))
          expect(error).toBeLessThan(Object.keys(last).length)
          if (each === 0) expect(error).toBe(0)
        }
      }),
      { numRuns: bulk(60, 150) },
    )
  })

  test('the shares alone count: the same split in other terms moves nobody', () => {
    fc.assert(
      fc.property(history, fc.integer({ min: 2, max: 50 }), (splits, factor) => {
        const present = allotted(...splits)
        const last = Object.entries(splits[splits.length - 1])
        const scaled = Object.fromEntries([...last, ['new', 0]].reverse().map(([pool, w]) => [pool, +w * factor]))
        expect(allot(scaled, present)).toBe(present)
      }),
    )
  })

  test('what is undone gives everybody the very same place back', () => {
    fc.assert(
      fc.property(history, (splits) => {
        const present = allotted(...splits.slice(0, -1))
        const undone = allot(splits[splits.length - 2], allotted(...splits))
        expect(undone.ranges).toEqual(present.ranges)
      }),
    )
  })

  test('ranges stay few, however often the weights change', () => {
    const random = fc.sample(splitOf(6), { numRuns: 400, seed: 7 })
    let present: Allotment | undefined
    let most = 0
    for (const split of random) {
      present = allot(split, present)
      most = Math.max(most, present.ranges.length)
    }
    expect(most).toBeLessThan(100)
  })

  test.each([
    ['one of three grows', { a: 80, b: 50, c: 50 }, { a: 160, b: 50, c: 50 }, ['b→a', 'c→a']],
    ['a canary beside two equal pools', { a: 50, b: 50, c: 0 }, { a: 45, b: 45, c: 10 }, ['a→c', 'b→c']],
    ['two shrink, one faster', { a: 80, b: 10, c: 10 }, { a: 40, b: 8, c: 52 }, ['a→c', 'b→c']],
    ['from two to two others', { a: 50, b: 0, c: 50 }, { a: 0, b: 50, c: 50 }, ['a→b']],
    ['a pool comes', { a: 50, c: 50 }, { a: 40, b: 20, c: 40 }, ['a→b', 'c→b']],
    ['a pool goes', { a: 40, b: 20, c: 40 }, { a: 40, c: 40 }, ['b→a', 'b→c']],
  ])('%s', (_, from, to, expected) => {
    expect([...new Set(moves(allotted(from), allotted(from, to)))].sort()).toEqual(expected)
  })
})

describe('two pools', () => {
  test('are one boundary that depends on the shares alone, wherever it came from', () => {
    fc.assert(
      fc.property(fc.array(splitOf(2), { minLength: 1, maxLength: 8 }), (splits) => {
        const { a, b } = splits[splits.length - 1]
        const boundary = Math.round((a * 10_000) / (a + b))
        expect(owners(allotted(...splits)).lastIndexOf('a') + 1).toBe(boundary)
        expect(owners(allotted(...splits)).indexOf('b')).toBe(boundary === 10_000 ? -1 : boundary)
      }),
      { numRuns: bulk(60, 150) },
    )
  })

  test('half a bucket goes to the first by name, from either side', () => {
    const half = { a: 1, b: 19_999 }
    for (const from of [
      { a: 0, b: 1 },
      { a: 1, b: 1 },
    ])
      expect(counts(allotted(from, half))).toEqual({ a: 1, b: 9_999 })
  })
})

describe('the first allotment', () => {
  /** As `decide` did it before allotments were kept: ranges end to end, the share of who takes nobody spread by weight. */
  function formerly(weights: Weights, out: readonly string[]): (string | null)[] {
    const pools = Object.keys(weights).sort()
    const ends = pools.map((_, index) =>
      Math.round((pools.slice(0, index + 1).reduce((total, pool) => total + weights[pool], 0) * 10_000) / sum(weights)),
    )
    const takers = pools.filter((pool) => weights[pool] > 0 && !out.includes(pool))
    return Array.from({ length: 10_000 }, (_, bucket) => {
      const at = ends.findIndex((end) => bucket < end)
      if (!out.includes(pools[at]) || takers.length === 0) return pools[at]
      const start = at === 0 ? 0 : ends[at - 1]
      let mark = ((bucket - start) / (ends[at] - start)) * takers.reduce((total, pool) => total + weights[pool], 0)
      for (const pool of takers) {
        mark -= weights[pool]
        if (mark < 0) return pool
      }
      return takers[takers.length - 1]
    })
  }

  test('of a document that has none leaves everybody where they were, in front of pools in drain and standby too', () => {
    fc.assert(
      fc.property(splitOf(5), fc.subarray(['a', 'b', 'c', 'd', 'e']), (weights, out) => {
        expect(owners(reallot(undefined, claimsOf(weights, out), 'r1'))).toEqual(formerly(weights, out))
      }),
      { numRuns: 40 },
    )
  })
})

describe('a pool that takes nobody new', () => {
  const weights = { a: 50, b: 30, c: 20 }
  const present = allotted({ a: 20, b: 30, c: 50 }, { a: 60, b: 10, c: 30 }, weights)

  test('has no bucket, gives its share to the others by weight, and gets the very same visitors back', () => {
    const without = reallot(present, claimsOf(weights, ['a']), 'r1')
    expect(counts(without)).toEqual({ b: 6_000, c: 4_000 })
    expect(new Set(moves(present, without))).toEqual(new Set(['a→b', 'a→c']))
    expect(allot(weights, without).ranges).toEqual(present.ranges)
  })

  test('moves nobody when its weight changes meanwhile', () => {
    const without = reallot(present, claimsOf(weights, ['a']), 'r1')
    expect(reallot(without, claimsOf({ ...weights, a: 1 }, ['a']), 'r1')).toBe(without)
  })

  test('keeps its share where it is the last one, so that it returns to what it was', () => {
    const only = allotted({ a: 1, b: 0 })
    expect(reallot(only, claimsOf({ a: 1, b: 0 }, ['a']), 'r1')).toBe(only)
  })
})

describe('the salt', () => {
  test('changes with the release while all visitors are in one pool, when that moves nobody', () => {
    const all = allot({ a: 1, b: 0 }, undefined, 'r1')
    expect(allot({ a: 1, b: 0 }, all, 'r2').salt).toBe('r2')
    expect(allot({ a: 9, b: 1 }, all, 'r2').salt).toBe('r2')
  })

  test('stays in the midst of a split, when a pool takes another version', () => {
    const split = allotted({ a: 9, b: 1 })
    expect(allot({ a: 9, b: 1 }, split, 'r2')).toBe(split)
    expect(allot({ a: 8, b: 2 }, split, 'r2').salt).toBe('r1')
  })

  test('comes back with the release that a switch is taken back to', () => {
    const split = allotted({ a: 8, b: 1, c: 1 }, { a: 4, b: 3, c: 3 })
    const switched = allot({ b: 1 }, split, 'r2')
    expect(allot({ a: 4, b: 3, c: 3 }, switched, 'r1')).toMatchObject({ salt: 'r1', ranges: split.ranges })
    expect(allot({ a: 4, b: 3, c: 3 }, switched, 'r2').salt).toBe('r2')
  })
})
