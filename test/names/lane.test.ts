/** Turns of jobs, by a clock that only moves when told. */
import { expect, test } from 'vitest'
import { Lane } from '../../src/names/lane.ts'
import { standingClock } from '../health/stand-in.ts'

/** A lane of two that has half a second of patience and lets five be under way. */
function setup() {
  const { clock, advance, timers } = standingClock()
  const lane = new Lane(2, { clock, ms: 500, allMax: 5 })
  const begun: number[] = []
  const ends: (() => void)[] = []
  const add = (count: number) => {
    for (let left = count; left > 0; left--) {
      const at = ends.push(() => {}) - 1
      lane.add(() => {
        begun.push(at)
        return new Promise((resolve) => {
          ends[at] = resolve
        })
      })
    }
  }
  const end = async (at: number) => {
    ends[at]()
    await Promise.resolve()
    await Promise.resolve()
  }
  return { lane, begun, add, end, advance, timers }
}

test('jobs have their turn in order, so many at a time', async () => {
  const { begun, add, end, timers } = setup()
  add(4)
  expect(begun).toEqual([0, 1])
  await end(1)
  expect(begun).toEqual([0, 1, 2])
  await end(0)
  await end(2)
  expect(begun).toEqual([0, 1, 2, 3])
  await end(3)
  expect(timers()).toBe(0)
})

test('a job that takes long makes room for the next, and its end makes none a second time', async () => {
  const { begun, add, end, advance } = setup()
  add(6)
  advance(499)
  expect(begun).toHaveLength(2)
  advance(1)
  expect(begun).toEqual([0, 1, 2, 3])
  await end(0)
  expect(begun).toEqual([0, 1, 2, 3])
  await end(3)
  expect(begun).toEqual([0, 1, 2, 3, 4])
})

test('no more are under way than may be in all, however long they take', async () => {
  const { begun, add, end, advance } = setup()
  add(20)
  for (let times = 0; times < 10; times++) advance(500)
  expect(begun).toHaveLength(5)
  await end(2)
  expect(begun).toHaveLength(6)
})

test('without patience a job counts until it ends', async () => {
  const lane = new Lane(1)
  const begun: number[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  lane.add(() => promise)
  lane.add(async () => void begun.push(1))
  expect(begun).toEqual([])
  resolve()
  await expect.poll(() => begun).toEqual([1])
})
