/** Batches of what a rollout is judged by end by the clock, and none is lost or counted twice, whoever closes it. */
import { beforeEach, expect, test } from 'vitest'
import { closeBatch, hurry, isRead, placeOf, takeReadings, unlock } from '../../src/metrics/batches.ts'
import {
  allocateSharedMemory,
  BATCH_CELLS,
  CELL,
  READINGS,
  type SharedMemory,
  SIDE,
  TRIAL,
  trialOffset,
} from '../../src/metrics/layout.ts'

const SLOT = 5
let memory: SharedMemory

beforeEach(() => {
  memory = allocateSharedMemory(3)
})

const count = (worker: number, side: number, field: number) => memory.trials[trialOffset(worker, SLOT, side) + field]++
const answers = placeOf(SIDE.canary, TRIAL.answers)
const rings = () => Atomics.load(memory.cells, CELL.verdict)

function taken(): Array<{ atMs: number; answers: number }> {
  const all: Array<{ atMs: number; answers: number }> = []
  takeReadings(memory, SLOT, (reading) => all.push({ atMs: reading[0], answers: reading[answers] }))
  return all
}

test('one ends with the first call in the next 10 ms, whichever thread it comes from', () => {
  closeBatch(memory, SLOT, 10_001)
  count(0, SIDE.canary, TRIAL.answers)
  closeBatch(memory, SLOT, 10_009)
  count(1, SIDE.canary, TRIAL.answers)
  closeBatch(memory, SLOT, 10_010)
  // Another thread whose time is a little behind.
  closeBatch(memory, SLOT, 10_009.9)
  count(2, SIDE.canary, TRIAL.answers)
  closeBatch(memory, SLOT, 10_050)
  expect(taken()).toEqual([
    { atMs: 10_001, answers: 0 },
    { atMs: 10_010, answers: 2 },
    { atMs: 10_050, answers: 3 },
  ])
  expect(taken()).toEqual([])
})

test('where nobody takes them it goes on, and nothing is lost', () => {
  for (let turn = 1; turn <= READINGS + 5; turn++) {
    count(0, SIDE.canary, TRIAL.answers)
    closeBatch(memory, SLOT, turn * 10)
  }
  expect(taken().map((reading) => reading.answers)).toEqual(Array.from({ length: READINGS }, (_, at) => at + 1))
  closeBatch(memory, SLOT, 1_000)
  expect(taken()).toEqual([{ atMs: 1_000, answers: READINGS + 5 }])
})

test('control is rung when one is closed that was to be looked at at once, and not before', () => {
  closeBatch(memory, SLOT, 10)
  hurry(memory, SLOT)
  closeBatch(memory, SLOT, 19)
  expect(rings()).toBe(0)
  closeBatch(memory, SLOT, 20)
  expect(rings()).toBe(1)
  closeBatch(memory, SLOT, 30)
  expect(rings()).toBe(1)
})

test('what is urgent stays so until there is room for a reading', () => {
  for (let turn = 1; turn <= READINGS; turn++) closeBatch(memory, SLOT, turn * 10)
  hurry(memory, SLOT)
  closeBatch(memory, SLOT, 500)
  expect(rings()).toBe(0)
  taken()
  closeBatch(memory, SLOT, 510)
  expect(rings()).toBe(1)
})

test('while one thread reads no other does; the lock of one that is no more is opened', () => {
  const lock = CELL.batch + SLOT * BATCH_CELLS
  Atomics.store(memory.cells, lock, 1)
  expect(isRead(memory, SLOT)).toBe(true)
  closeBatch(memory, SLOT, 10)
  expect(taken()).toEqual([])
  unlock(memory, SLOT)
  closeBatch(memory, SLOT, 10)
  expect([taken().length, isRead(memory, SLOT)]).toEqual([1, false])
})

test('their number may overflow', () => {
  for (const place of [1, 2]) Atomics.store(memory.cells, CELL.batch + SLOT * BATCH_CELLS + place, 2 ** 31 - 1)
  closeBatch(memory, SLOT, 10)
  closeBatch(memory, SLOT, 20)
  expect(taken().map(({ atMs }) => atMs)).toEqual([10, 20])
})
