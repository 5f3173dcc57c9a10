/** Batches of what a rollout is judged by end by the clock, and none is lost or counted twice, whoever closes it. */
import { beforeEach, expect, test } from 'vitest'
import { closeBatch, hurry, isRead, openRing, placeOf, takeReadings, unlock } from '../../src/metrics/batches.ts'
import {
  allocateSharedMemory,
  CELL,
  READINGS,
  RING_CELLS,
  RINGS,
  type SharedMemory,
  SIDE,
  TRIAL,
  trialOffset,
} from '../../src/metrics/layout.ts'

const SLOT = 5
let memory: SharedMemory

beforeEach(() => {
  memory = allocateSharedMemory(3)
  openRing(memory, SLOT)
})

const count = (worker: number, side: number, field: number) => memory.trials[trialOffset(worker, SLOT, side) + field]++
const answers = placeOf(SIDE.canary, TRIAL.answers)
const rings = () => Atomics.load(memory.cells, CELL.verdict)

function taken(): Array<{ atMs: number; answers: number }> {
  const all: Array<{ atMs: number; answers: number }> = []
  takeReadings(memory, SLOT, (reading) => all.push({ atMs: reading[0], answers: reading[answers] }))
  return all
}

test('one ends with the first call in the next millisecond, whichever thread it comes from', () => {
  closeBatch(memory, SLOT, 10_001.2)
  count(0, SIDE.canary, TRIAL.answers)
  closeBatch(memory, SLOT, 10_001.9)
  count(1, SIDE.canary, TRIAL.answers)
  closeBatch(memory, SLOT, 10_002)
  // Another thread whose time is a little behind.
  closeBatch(memory, SLOT, 10_001.9)
  count(2, SIDE.canary, TRIAL.answers)
  closeBatch(memory, SLOT, 10_050)
  expect(taken()).toEqual([
    { atMs: 10_001.2, answers: 0 },
    { atMs: 10_002, answers: 2 },
    { atMs: 10_050, answers: 3 },
  ])
  expect(taken()).toEqual([])
})

test('one is longer after one of many answers a millisecond', () => {
  const endsAfter = (answers: number) => {
    memory = allocateSharedMemory(1)
    openRing(memory, SLOT)
    for (let tick = 0; tick <= 12; tick++) {
      closeBatch(memory, SLOT, 10_000 + tick)
      if (tick >= 1 && tick < 5) memory.trials[trialOffset(0, SLOT, SIDE.control) + TRIAL.answers] += answers
    }
    return taken().map(({ atMs }) => atMs - 10_000)
  }
  expect(endsAfter(5)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
  expect(endsAfter(6)).toEqual([0, 1, 2, 10, 11, 12])
})

test('where nobody takes them it goes on, and nothing is lost', () => {
  for (let turn = 1; turn <= READINGS + 5; turn++) {
    count(0, SIDE.canary, TRIAL.answers)
    closeBatch(memory, SLOT, turn * 10)
  }
  expect(taken().map((reading) => reading.answers)).toEqual(Array.from({ length: READINGS }, (_, at) => at + 1))
  closeBatch(memory, SLOT, 2_000)
  expect(taken()).toEqual([{ atMs: 2_000, answers: READINGS + 5 }])
})

test('control is rung when one is closed that was to be looked at at once, and not before', () => {
  closeBatch(memory, SLOT, 10)
  hurry(memory, SLOT)
  closeBatch(memory, SLOT, 10.9)
  expect(rings()).toBe(0)
  closeBatch(memory, SLOT, 20)
  expect(rings()).toBe(1)
  closeBatch(memory, SLOT, 30)
  expect(rings()).toBe(1)
})

test('what is urgent stays so until there is room for a reading', () => {
  for (let turn = 1; turn <= READINGS; turn++) closeBatch(memory, SLOT, turn * 10)
  hurry(memory, SLOT)
  closeBatch(memory, SLOT, 5_000)
  expect(rings()).toBe(0)
  taken()
  closeBatch(memory, SLOT, 5_010)
  expect(rings()).toBe(1)
})

test('while one thread reads no other does; the lock of one that is no more is opened', () => {
  const lock = CELL.ring
  Atomics.store(memory.cells, lock, 1)
  expect(isRead(memory, SLOT)).toBe(true)
  closeBatch(memory, SLOT, 10)
  expect(taken()).toEqual([])
  unlock(memory, SLOT)
  closeBatch(memory, SLOT, 10)
  expect([taken().length, isRead(memory, SLOT)]).toEqual([1, false])
})

test('a thread that sets their number back, since its lock was opened while it was kept from its core, holds nobody up', () => {
  closeBatch(memory, SLOT, 10)
  closeBatch(memory, SLOT, 20)
  expect(taken()).toHaveLength(2)
  const made = CELL.ring + (Atomics.load(memory.cells, CELL.ringOf + SLOT) - 1) * RING_CELLS + 1
  Atomics.store(memory.cells, made, 1)
  expect(taken()).toEqual([])
  for (const atMs of [30, 40, 50]) closeBatch(memory, SLOT, atMs)
  expect(taken().map(({ atMs }) => atMs)).toEqual([40, 50])
})

test('their number may overflow', () => {
  for (const place of [1, 2]) Atomics.store(memory.cells, CELL.ring + place, 2 ** 31 - 1)
  closeBatch(memory, SLOT, 10)
  closeBatch(memory, SLOT, 20)
  expect(taken().map(({ atMs }) => atMs)).toEqual([10, 20])
})

test('a service without a ring has no batches; one is passed on where nothing is judged, and never between two that are', () => {
  const judged = (slot: number, step: number) => Atomics.store(memory.cells, CELL.step + slot, step)
  judged(SLOT, 1)
  for (let slot = 100; slot < 100 + RINGS - 1; slot++) {
    judged(slot, 1)
    expect(openRing(memory, slot)).toBe(true)
  }
  expect(openRing(memory, 99)).toBe(false)
  closeBatch(memory, 99, 10)
  hurry(memory, 99)
  expect([isRead(memory, 99), openRing(memory, SLOT)]).toEqual([false, true])

  count(0, SIDE.canary, TRIAL.answers)
  hurry(memory, SLOT)
  closeBatch(memory, SLOT, 1_000)
  judged(SLOT, 0)
  const heard = rings()
  judged(99, 1)
  expect(openRing(memory, 99)).toBe(true)
  const readings: Float64Array[] = []
  closeBatch(memory, SLOT, 2_000)
  closeBatch(memory, 99, 10)
  takeReadings(memory, 99, (reading) => readings.push(reading.slice()))
  expect(readings.map((reading) => [reading[0], reading[answers]])).toEqual([[10, 0]])
  expect([taken(), rings()]).toEqual([[], heard])
  expect(openRing(memory, SLOT)).toBe(false)
})

test('a ring that is read just now is not passed on', () => {
  for (let slot = 100; slot < 100 + RINGS - 1; slot++) openRing(memory, slot)
  for (let ring = 0; ring < RINGS; ring++) Atomics.store(memory.cells, CELL.ring + ring * RING_CELLS, 1)
  expect(openRing(memory, 99)).toBe(false)
  unlock(memory, 100)
  expect(openRing(memory, 99)).toBe(true)
  Atomics.store(memory.cells, CELL.step + 99, 1)
  expect(openRing(memory, 100)).toBe(false)
})
