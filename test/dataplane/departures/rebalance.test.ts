/** How many of those who are nobody in particular follow a change of the weights. */
import { expect, test } from 'vitest'
import type { OpenPlace } from '../../../src/dataplane/departures/departure.ts'
import { sharesOf, surplusOf } from '../../../src/dataplane/departures/rebalance.ts'
import { makePlan, makeTable } from '../../table/make.ts'

const serviceOf = (weights: Record<string, number>) => makeTable(makePlan({ weights })).services.get('shop')!

/** Places with so many tunnels each: of nobody in particular, and of visitors. */
const placesOf = (counts: Record<string, readonly [keyless: number, known: number]>): OpenPlace[] =>
  Object.entries(counts).map(([pool, [keyless, known]]) => {
    const members = [...new Array(keyless).fill(true), ...new Array(known).fill(false)]
    return {
      service: 'shop',
      pool,
      members: new Set(members.map((isKeyless) => ({ isKeyless, isTold: false }))),
    } as never
  })

test.each([
  [
    'half go when they are to be halved, whoever is known not counted',
    { blue: 1, green: 1 },
    { blue: [100, 7] },
    1 / 2,
  ],
  ['few go to a small share', { blue: 9, green: 1 }, { blue: [100, 0] }, 1 / 10],
  ['all go from a pool without any', { blue: 0, green: 1 }, { blue: [10, 0] }, 1],
  ['none go from a pool that has its share', { blue: 3, green: 1 }, { blue: [75, 0], green: [25, 3] }, 0],
  ['none go from one that has less', { blue: 1, green: 1 }, { blue: [10, 0], green: [30, 0] }, 0],
  ['a part goes from one that has some too many', { blue: 1, green: 1 }, { blue: [60, 0], green: [40, 0] }, 1 / 6],
] as const)('%s', (_what, weights, counts, part) => {
  expect(surplusOf(serviceOf(weights), 'blue', placesOf(counts as never))).toBeCloseTo(part)
})

test('what new visitors are given is another once weights or admin states are', () => {
  expect(sharesOf(serviceOf({ blue: 1, green: 1 }))).toBe(sharesOf(serviceOf({ blue: 1, green: 1 })))
  expect(sharesOf(serviceOf({ blue: 1, green: 1 }))).not.toBe(sharesOf(serviceOf({ blue: 1, green: 2 })))
})
