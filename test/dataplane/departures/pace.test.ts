/** The pace at which tunnels are let go, by a clock and a chance that the test has. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Pace } from '../../../src/dataplane/departures/pace.ts'

const WELL = { opened: 100, refused: 0, isTaken: true }
const HALF = { opened: 50, refused: 50, isTaken: true }
const NOBODY = { opened: 0, refused: 0, isTaken: false }
const MANY = 1_000_000

/** How many go in each second, asked every 100 ms. */
function goneBySecond(pace: Pace, seconds: number, perSecond: number, fromS = 0): number[] {
  return Array.from({ length: seconds }, (_, second) => {
    let gone = 0
    for (let tenth = 0; tenth < 10; tenth++) gone += pace.due((fromS + second) * 1_000 + tenth * 100, perSecond, MANY)
    return gone
  })
}

test('as many go in every second as were asked for, whatever the distances that are drawn', () => {
  fc.assert(
    fc.property(fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })), (drawn) => {
      const pace = new Pace(() => drawn.next().value!)
      const gone = goneBySecond(pace, 10, 200)
      for (const count of gone) expect(count).toBeLessThanOrEqual(401)
    }),
  )
  let state = 1
  const pace = new Pace(() => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  })
  const [first, ...gone] = goneBySecond(pace, 30, 200)
  expect(first).toBeGreaterThan(150)
  for (const count of gone) {
    expect(count).toBeGreaterThan(160)
    expect(count).toBeLessThan(240)
  }
})

test('distances are drawn, from half to one and a half times the mean', () => {
  const pace = new Pace(() => 0.25)
  const times = []
  for (let nowMs = 0; times.length < 4; nowMs++) for (let n = pace.due(nowMs, 1, 1); n > 0; n--) times.push(nowMs)
  expect(times).toEqual([250, 1_000, 1_750, 2_500])
})

test('the pace halves in each second in which reconnects fail, to a thirty-second, and comes back by half as much again', () => {
  const pace = new Pace(() => 0.5)
  const parts = [HALF, HALF, HALF, HALF, HALF, HALF, WELL, WELL].map((seen) => {
    pace.look(seen)
    return pace.part
  })
  expect(parts).toEqual([1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 32, 3 / 64, 9 / 128])
  expect(pace.state).toBe('slowed')
  for (const count of goneBySecond(pace, 10, 100)) expect([6, 7, 8]).toContain(count)
  for (let i = 0; i < 6; i++) pace.look(WELL)
  expect(pace.part).toBeLessThan(1)
  pace.look(WELL)
  expect([pace.state, pace.part]).toEqual(['steady', 1])
})

test('a few refusals among many slow nothing', () => {
  const pace = new Pace(() => 0.5)
  pace.look({ opened: 95, refused: 5, isTaken: true })
  expect([pace.state, pace.part]).toEqual(['steady', 1])
})

test('nobody goes while nobody would take them, and then it begins slowly', () => {
  const pace = new Pace(() => 0.5)
  expect(goneBySecond(pace, 1, 100)[0]).toBe(90)
  pace.look(NOBODY)
  expect(pace.state).toBe('stopped')
  expect(goneBySecond(pace, 5, 100, 1)).toEqual([0, 0, 0, 0, 0])
  pace.look(WELL)
  expect([pace.state, pace.part]).toEqual(['slowed', 1 / 32])
  expect(goneBySecond(pace, 2, 100, 6).reduce((sum, count) => sum + count)).toBeLessThan(10)
})

test('what was missed while the worker was busy is not made up for in one go', () => {
  const pace = new Pace(() => 0.5)
  pace.due(0, 100, MANY)
  expect(pace.due(60_000, 100, MANY)).toBeLessThanOrEqual(51)
})

test('never more go than there are', () => {
  const pace = new Pace(() => 0)
  pace.due(0, MANY, 5)
  expect(pace.due(1_000, MANY, 5)).toBe(5)
})
