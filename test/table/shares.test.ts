import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bucketOf, saltOf } from '../../src/table/bucket.ts'
import { decide } from '../../src/table/decide.ts'
import { bulk } from '../helpers/bulk.ts'
import { browser, decideOne, makeDraw, makePlan, makeTable, makeView, NOW_MS, noLoad, poolOfVisitor } from './make.ts'

const split = (weights: Record<string, number>) => makeTable(makePlan({ weights }))

/** A visitor for each of the 10,000 buckets. */
const visitorOfBucket = (() => {
  const visitors: string[] = []
  let missing = 10_000
  const salt = saltOf('shop', 'r1')
  for (let n = 0; missing > 0; n++) {
    const bucket = bucketOf(`v${n}`, salt)
    if (visitors[bucket] === undefined) {
      visitors[bucket] = `v${n}`
      missing--
    }
  }
  return visitors
})()

function keylessCounts(table: ReturnType<typeof split>, requests: number): Record<string, number> {
  const counts: Record<string, number> = {}
  const draw = makeDraw()
  const view = makeView()
  for (let n = 0; n < requests; n++) {
    const pool = decide(view, table, noLoad, draw, NOW_MS).pool!.name
    counts[pool] = (counts[pool] ?? 0) + 1
  }
  return counts
}

describe('requests without a visitor key', () => {
  test('are split exactly after 20 requests at 95 to 5', () => {
    expect(keylessCounts(split({ blue: 95, green: 5 }), 20)).toEqual({ blue: 19, green: 1 })
  })

  test.each([1, 5, 10, 33])('are within 0.1 points of %i % over 100,000', (percent) => {
    const counts = keylessCounts(split({ blue: 100 - percent, green: percent }), 100_000)
    expect(Math.abs(counts.green / 1_000 - percent)).toBeLessThan(0.1)
  })

  test('never reach a pool of weight 0', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.integer({ min: 0, max: 9 }), {
          minKeys: 1,
          noNullPrototype: true,
        }),
        (weights) => {
          fc.pre(Object.values(weights).some((weight) => weight > 0))
          for (const pool of Object.keys(keylessCounts(split(weights), 100))) expect(weights[pool]).toBeGreaterThan(0)
        },
      ),
    )
  })
})

describe('visitors', () => {
  test.each([1, 5, 10, 33, 50])('with sequential ids are within a point of %i % over 10,000', (percent) => {
    const table = split({ blue: 100 - percent, green: percent })
    for (const prefix of ['user-', 'u']) {
      const green = Array.from({ length: 10_000 }, (_, n) => poolOfVisitor(table, `${prefix}${n + 1}`)).filter(
        (pool) => pool === 'green',
      )
      expect(Math.abs(green.length / 100 - percent)).toBeLessThan(1)
    }
  })

  test('fill exactly the buckets of their pool, every one of the 10,000', () => {
    for (const [weights, ends] of [
      [
        { blue: 95, green: 5 },
        { blue: 9500, green: 10_000 },
      ],
      [{ blue: 0, green: 1 }, { green: 10_000 }],
      [{ blue: 1, green: 0 }, { blue: 10_000 }],
      [
        { blue: 1, green: 0, red: 1 },
        { blue: 5000, red: 10_000 },
      ],
      [
        { blue: 1, green: 1, red: 1 },
        { blue: 3333, green: 6667, red: 10_000 },
      ],
      [
        { blue: 9999, green: 1 },
        { blue: 9999, green: 10_000 },
      ],
    ] as [Record<string, number>, Record<string, number>][]) {
      const table = split(weights)
      const expected = visitorOfBucket.map((_, bucket) => Object.keys(ends).find((pool) => bucket < ends[pool]))
      expect(visitorOfBucket.map((visitor) => poolOfVisitor(table, visitor))).toEqual(expected)
    }
  })

  test('only move forward when a weight is raised, and only the last move back when it is lowered', () => {
    const steps = [0, 1, 5, 25, 26, 50, 100].map((percent) => {
      const table = split({ blue: 100 - percent, green: percent })
      return new Set(visitorOfBucket.filter((visitor) => poolOfVisitor(table, visitor) === 'green'))
    })
    for (const [index, later] of steps.entries()) {
      for (const earlier of steps.slice(0, index)) expect(earlier.isSubsetOf(later)).toBe(true)
    }
    expect(steps.map((set) => set.size)).toEqual([0, 100, 500, 2500, 2600, 5000, 10_000])
  })

  test('stay where they are while the weights do, in whatever terms these are given', () => {
    const tables = [
      { blue: 75, green: 25 },
      { green: 25, blue: 75 },
      { blue: 3, green: 1 },
      { blue: 750_000, green: 250_000 },
    ].map(split)
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 20 }), (visitor) => {
        const pools = [...tables, ...tables].map((table) => poolOfVisitor(table, visitor))
        expect(new Set(pools).size).toBe(1)
      }),
    )
  })

  test('in green stay in green at every higher weight of it, for any two weights', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1000 }),
        fc.integer({ min: 0, max: 1000 }),
        fc.integer({ min: 0, max: 9999 }),
        (a, b, bucket) => {
          const [low, high] = a < b ? [a, b] : [b, a]
          const pool = (green: number) => poolOfVisitor(split({ blue: 1000 - green, green }), visitorOfBucket[bucket])
          if (pool(low) === 'green') expect(pool(high)).toBe('green')
        },
      ),
      { numRuns: bulk(100, 300) },
    )
  })

  test('are others in the next release', () => {
    const plan = makePlan({ weights: { blue: 95, green: 5 } })
    const first = (release: string) => {
      const table = makeTable(plan, { release })
      return visitorOfBucket.filter((visitor) => poolOfVisitor(table, visitor) === 'green')
    }
    const before = new Set(first('r1'))
    expect(first('r2').filter((visitor) => before.has(visitor)).length).toBeLessThan(70)
  })
})

describe('browsers without a key', () => {
  test('are given an id whose bucket decides from then on', () => {
    const table = split({ blue: 50, green: 50 })
    const draw = makeDraw(7)
    for (let n = 0; n < 200; n++) {
      const first = decideOne(table, { headers: browser }, draw)
      expect([first.reason, first.visitor]).toEqual(['bucket', first.setCookie?.visitor])
      const second = decideOne(table, { headers: browser, own: first.setCookie }, draw)
      expect([second.pool?.name, second.bucket, second.setCookie]).toEqual([first.pool?.name, first.bucket, null])
    }
  })
})
