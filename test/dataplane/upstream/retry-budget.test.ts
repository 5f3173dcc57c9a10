import { describe, expect, test } from 'vitest'
import { RetryBudget } from '../../../src/dataplane/upstream/retry-budget.ts'
import { ADDRESS_CELLS } from '../../../src/metrics/layout.ts'

/** A budget that has seen so many requests at a moment. */
function having(requests: number, nowMs = 0): RetryBudget {
  const budget = new RetryBudget()
  for (let n = 0; n < requests; n++) budget.note(nowMs)
  return budget
}

/** How many of 1,000 repeats it lets pass. */
function taken(budget: RetryBudget, nowMs: number): number {
  let count = 0
  for (let n = 0; n < 1_000; n++) if (budget.take(nowMs)) count++
  return count
}

test('a fifth of the requests may be repeated, and three a second where there are few', () => {
  expect(taken(having(2_000), 0)).toBe(400)
  expect(taken(having(100), 0)).toBe(30)
  expect(taken(having(0), 0)).toBe(30)
})

test('requests count for about ten seconds, wherever these begin', () => {
  for (const startMs of [0, 5_000, 9_999, 1e9]) {
    expect(taken(having(2_000, startMs), startMs + 9_999)).toBe(400)
    expect(taken(having(2_000, startMs), startMs + 15_000)).toBe(200)
    expect(taken(having(2_000, startMs), startMs + 20_000)).toBe(30)
  }
})

test('under steady failure a fifth of the requests is repeated, in the first second and after minutes', () => {
  const budget = new RetryBudget()
  let count = 0
  for (let n = 1; n <= 100_000; n++) {
    budget.note(n)
    if (budget.take(n)) count++
    if (n % 1_000 === 0) expect(Math.abs(count - n / 5)).toBeLessThanOrEqual(n / 100 + 30)
  }
})

test('three in each second pass where everything fails and next to nothing is asked', () => {
  const budget = new RetryBudget()
  let count = 0
  for (let n = 0; n < 600; n++) {
    budget.note(n * 100)
    if (budget.take(n * 100)) count++
  }
  expect(count).toBeGreaterThanOrEqual(180)
  expect(count).toBeLessThanOrEqual(180 + 30)
})

test('what is given back may be taken again', () => {
  const budget = having(0)
  for (let n = 0; n < 500; n++) {
    expect(budget.take(n)).toBe(true)
    budget.giveBack(n)
  }
  expect(taken(budget, 500)).toBe(30)
})

test('what is given back late frees no more than it still took', () => {
  const budget = having(0)
  expect(taken(budget, 0)).toBe(30)
  budget.giveBack(0)
  expect(taken(budget, 0)).toBe(1)
  // Half of the 30 still count at 15 s, half of 29 when one is given back.
  expect(taken(budget, 15_000)).toBe(15)
  budget.giveBack(0)
  budget.giveBack(0)
  expect(taken(budget, 15_000)).toBe(1)
  expect(taken(budget, 40_000)).toBe(30)
  budget.giveBack(0)
  expect(taken(budget, 40_000)).toBe(0)
})

/** How much of the same is taken of what is asked of other versions, by as many clients as there are cells in turn. */
function skewsOf(budget: RetryBudget, nowMs: number, cells: readonly number[]): number[] {
  const counts = cells.map(() => 0)
  for (let n = 0; n < 1_000; n++) for (const [at, cell] of cells.entries()) if (budget.take(nowMs, cell)) counts[at]++
  return counts
}

test('what is asked of other versions is spent apart from what is repeated, and given back there', () => {
  const budget = having(1_000)
  const many = Array.from({ length: 200 }, (_, cell) => cell)
  expect(skewsOf(budget, 0, many).reduce((sum, count) => sum + count, 0)).toBe(200)
  expect(taken(budget, 1_000)).toBe(200)
  budget.giveBack(0, 7)
  expect([budget.take(1_000), budget.take(1_000, 7), budget.take(1_000, 7)]).toEqual([false, true, false])
})

describe('of what is asked of other versions in vain', () => {
  test('one address can spend half, and the others find the rest', () => {
    const budget = having(1_000)
    expect(skewsOf(budget, 0, [1])).toEqual([100])
    expect(skewsOf(budget, 0, [2])).toEqual([25])
    expect(skewsOf(budget, 0, [1, 2, 3, 4, 5])).toEqual([0, 0, 25, 25, 25])
    expect(skewsOf(budget, 0, [6])).toEqual([0])
  })

  test('it counts for about ten seconds', () => {
    const budget = having(0)
    expect(skewsOf(budget, 0, [1])).toEqual([15])
    expect(skewsOf(budget, 9_999, [1])).toEqual([0])
    // At 15 s a half of these counts, in all and of its own.
    expect(skewsOf(budget, 15_000, [1])).toEqual([8])
    expect(skewsOf(budget, 15_000, [2])).toEqual([4])
    expect(skewsOf(budget, 40_000, [1])).toEqual([15])
  })

  test('what is found is given back, and counts for nobody', () => {
    const budget = having(0)
    for (let n = 0; n < 500; n++) {
      expect(budget.take(n, 1)).toBe(true)
      budget.giveBack(n, 1)
    }
    expect(skewsOf(budget, 500, [2])).toEqual([15])
    expect(skewsOf(budget, 500, [1])).toEqual([4])
  })

  test('who stands for many, and does not tell for whom, has no less than all', () => {
    expect(skewsOf(having(1_000), 0, [ADDRESS_CELLS])).toEqual([200])
  })
})
