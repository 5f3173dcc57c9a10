import { expect, test } from 'vitest'
import { closeBatch } from '../../src/metrics/batches.ts'
import { allocateSharedMemory, CELL, RINGS, SIDE, TRIAL, trialOffset } from '../../src/metrics/layout.ts'
import { Feed } from '../../src/rollout/feed.ts'

const SLOT = 3

function fed() {
  const memory = allocateSharedMemory(2)
  const feed = new Feed(memory, SLOT)
  const count = (worker: number, side: number, field: number, by = 1) => {
    memory.trials[trialOffset(worker, SLOT, side) + field] += by
  }
  return { memory, feed, count }
}

test('what came in one batch stays apart, however late it is looked at', () => {
  const { memory, feed, count } = fed()
  count(0, SIDE.canary, TRIAL.answers, 1)
  count(1, SIDE.control, TRIAL.answers, 9)
  closeBatch(memory, SLOT, 10)
  count(1, SIDE.canary, TRIAL.answers, 2)
  count(0, SIDE.control, TRIAL.answers, 18)
  count(0, SIDE.control, TRIAL.bad)
  count(0, SIDE.canary, TRIAL.timed + 1, 2)
  count(1, SIDE.canary, TRIAL.slow + 1)
  count(0, SIDE.canary, TRIAL.harm)
  const batches = feed.take(75)
  expect(batches.map(({ atMs, harm }) => [atMs, harm])).toEqual([
    [10, 0],
    [75, 1],
  ])
  expect(batches.map(({ came }) => came[0])).toEqual([
    { canary: 1, canaryBad: 0, control: 9, controlBad: 0 },
    { canary: 2, canaryBad: 0, control: 18, controlBad: 1 },
  ])
  expect(batches[1].came[2]).toEqual({ canary: 2, canaryBad: 1, control: 0, controlBad: 0 })
  expect(feed.take(75.9)).toEqual([])
})

test('what came before a step is dropped, but for its harm', () => {
  const { memory, feed, count } = fed()
  count(0, SIDE.canary, TRIAL.bad)
  count(0, SIDE.canary, TRIAL.harm)
  closeBatch(memory, SLOT, 10)
  count(0, SIDE.canary, TRIAL.harm)
  expect(feed.drop()).toBe(2)
  expect(feed.take(10.9)).toEqual([])
  count(0, SIDE.canary, TRIAL.answers)
  expect(feed.take(20).map(({ came, harm }) => [came[0].canary, came[0].canaryBad, harm])).toEqual([[1, 0, 0]])
})

test('a reading that was made before the step and comes after its begin counts for nothing', () => {
  const { memory, feed, count } = fed()
  count(0, SIDE.canary, TRIAL.answers, 5)
  feed.drop()
  // As though another thread had read before the five came.
  memory.trials[trialOffset(0, SLOT, SIDE.canary) + TRIAL.answers] = 2
  closeBatch(memory, SLOT, 10)
  memory.trials[trialOffset(0, SLOT, SIDE.canary) + TRIAL.answers] = 6
  expect(feed.take(20).map(({ came }) => came[0].canary)).toEqual([1])
})

test('a worker that was ended while it read holds nobody up for longer than a second', () => {
  const { memory, feed, count } = fed()
  Atomics.store(memory.cells, CELL.ring, 1)
  count(0, SIDE.canary, TRIAL.answers)
  const at = [100, 600, 1_100].map((nowMs) => feed.take(nowMs).length)
  expect([...at, feed.take(1_200).length]).toEqual([0, 0, 0, 1])
})

test('where all rings are taken, what has come since the last look is one batch', () => {
  const { memory, count } = fed()
  for (let slot = 100; slot < 100 + RINGS; slot++) {
    new Feed(memory, slot)
    Atomics.store(memory.cells, CELL.step + slot, 1)
  }
  Atomics.store(memory.cells, CELL.step + SLOT, 1)
  const late = new Feed(memory, 50)
  memory.trials[trialOffset(0, 50, SIDE.canary) + TRIAL.answers] = 4
  closeBatch(memory, 50, 10)
  count(0, SIDE.canary, TRIAL.answers)
  expect(late.take(100).map(({ atMs, came }) => [atMs, came[0].canary])).toEqual([[100, 4]])
  expect(late.take(200).map(({ came }) => came[0].canary)).toEqual([0])
  // One has come to its end.
  Atomics.store(memory.cells, CELL.step + 120, 0)
  memory.trials[trialOffset(0, 50, SIDE.canary) + TRIAL.answers] = 5
  expect(late.take(300).map(({ came }) => came[0].canary)).toEqual([1])
  closeBatch(memory, 50, 310)
  expect(late.take(320).map(({ atMs }) => atMs)).toEqual([310, 320])
})

test('what is slow comes every 20 ms, and all of it', () => {
  const { memory, feed, count } = fed()
  for (let ms = 10; ms <= 60; ms += 2) {
    count(0, SIDE.control, TRIAL.timed + 1)
    count(1, SIDE.control, TRIAL.slow + 1)
    closeBatch(memory, SLOT, ms)
  }
  const batches = feed.take(60)
  expect(batches).toHaveLength(26)
  const slow = batches.flatMap(({ came }) => (came.length > 1 ? [came[2]] : []))
  expect(slow.map(({ control, controlBad }) => [control, controlBad])).toEqual([[6, 6], ...Array(2).fill([10, 10])])
})
