import { expect, test } from 'vitest'
import { RetryBudget } from '../../../src/dataplane/upstream/retry-budget.ts'

/** A budget that has seen so many requests at a moment. */
function after(requests: number, nowMs = 0): RetryBudget {
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
  expect(taken(after(2_000), 0)).toBe(400)
  expect(taken(after(100), 0)).toBe(30)
  expect(taken(after(0), 0)).toBe(30)
})

test('requests count for about ten seconds, wherever these begin', () => {
  for (const startMs of [0, 5_000, 9_999, 1e9]) {
    expect(taken(after(2_000, startMs), startMs + 9_999)).toBe(400)
    expect(taken(after(2_000, startMs), startMs + 15_000)).toBe(200)
    expect(taken(after(2_000, startMs), startMs + 20_000)).toBe(30)
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
  const budget = after(0)
  for (let n = 0; n < 500; n++) {
    expect(budget.take(n)).toBe(true)
    budget.giveBack(n)
  }
  expect(taken(budget, 500)).toBe(30)
})

test('what is given back late frees no more than it still took', () => {
  const budget = after(0)
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

test('what is asked of other versions is spent apart from what is repeated, and given back there', () => {
  const budget = after(1_000)
  let skews = 0
  for (let n = 0; n < 1_000; n++) if (budget.take(n, true)) skews++
  expect(skews).toBe(200)
  expect(taken(budget, 1_000)).toBe(200)
  budget.giveBack(999, true)
  expect([budget.take(1_000), budget.take(1_000, true), budget.take(1_000, true)]).toEqual([false, true, false])
})
