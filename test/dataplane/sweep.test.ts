/** The sweep over all deadlines: it sees to what has passed, and to so much of it at a time that others are not held up. */
import { expect, test } from 'vitest'
import { DEADLINES_PER_TURN, sweep } from '../../src/dataplane/sweep.ts'

class Fake {
  deadlineMs: number
  seen = 0
  constructor(deadlineMs: number) {
    this.deadlineMs = deadlineMs
  }
  onDeadline(): void {
    this.seen++
    this.deadlineMs += 1_000
  }
}

test('deadlines that have passed are seen to once each, others not', () => {
  const all = [50, 100, 101, 5_000].map((deadlineMs) => new Fake(deadlineMs))
  expect(sweep(all, 100)).toBe(false)
  expect(all.map(({ seen }) => seen)).toEqual([1, 1, 0, 0])
})

test('of thousands that pass together only some are seen to at a time, until all are', () => {
  const all = Array.from({ length: 10 * DEADLINES_PER_TURN + 1 }, () => new Fake(50))
  const seen = () => all.filter((one) => one.seen > 0).length
  for (let turn = 1; turn <= 10; turn++) {
    expect(sweep(all, 100)).toBe(true)
    expect(seen()).toBe(turn * DEADLINES_PER_TURN)
  }
  expect(sweep(all, 100)).toBe(false)
  expect(all.every((one) => one.seen === 1)).toBe(true)
})
