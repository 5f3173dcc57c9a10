/** Turns of jobs, by a clock that only moves when told. */
import { expect, test } from 'vitest'
import { Limiter } from '../src/limiter.ts'
import { standingClock } from './health/stand-in.ts'

/** A limiter of two quick jobs with half a second of patience, five of them in all, and of one job of the silent. */
function setup() {
  const { clock, advance, timers } = standingClock()
  const limiter = new Limiter(clock, { quickMax: 2, quickAllMax: 5, patienceMs: 500, silentMax: 1 })
  const begun: number[] = []
  const ends: (() => void)[] = []
  const add = (count: number, wasSilent = false) => {
    for (let left = count; left > 0; left--) {
      const at = ends.push(() => {}) - 1
      limiter.add(wasSilent, () => {
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
  return { begun, add, end, advance, timers }
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

test('those that were silent wait for each other, however long they take, and nobody else for them', async () => {
  const { begun, add, end, advance } = setup()
  add(3, true)
  add(2)
  expect(begun).toEqual([0, 3, 4])
  advance(10_000)
  expect(begun).toEqual([0, 3, 4])
  await end(0)
  expect(begun).toEqual([0, 3, 4, 1])
})
