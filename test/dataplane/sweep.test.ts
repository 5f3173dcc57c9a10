/** The sweep over all clients: it sees to what has passed, and to so much of it at a time that others are not held up. */
import { expect, test } from 'vitest'
import { DEADLINES_PER_TURN, sweepClients } from '../../src/dataplane/sweep.ts'

class Fake {
  deadlineMs: number
  seen = 0
  destroyed = false
  constructor(deadlineMs: number) {
    this.deadlineMs = deadlineMs
  }
  onDeadline(): void {
    this.seen++
    this.deadlineMs += 1_000
  }
  destroy(): void {
    this.destroyed = true
  }
}

test('deadlines that have passed are seen to once each, others not', () => {
  const clients = [50, 100, 101, 5_000].map((deadlineMs) => new Fake(deadlineMs))
  expect(sweepClients(clients, 100, Infinity)).toBe(false)
  expect(clients.map(({ seen }) => seen)).toEqual([1, 1, 0, 0])
})

test('of thousands that pass together only some are seen to at a time, until all are', () => {
  const clients = Array.from({ length: 10 * DEADLINES_PER_TURN + 1 }, () => new Fake(50))
  const seen = () => clients.filter((client) => client.seen > 0).length
  for (let turn = 1; turn <= 10; turn++) {
    expect(sweepClients(clients, 100, Infinity)).toBe(true)
    expect(seen()).toBe(turn * DEADLINES_PER_TURN)
  }
  expect(sweepClients(clients, 100, Infinity)).toBe(false)
  expect(clients.every((client) => client.seen === 1)).toBe(true)
})

test('when the time to drain is over, everybody is ended', () => {
  const clients = Array.from({ length: 500 }, () => new Fake(5_000))
  expect(sweepClients(clients, 100, 100)).toBe(false)
  expect(clients.every((client) => client.destroyed)).toBe(true)
})
