/** How many of those who were held go with each tick of a worker. */
import { expect, test } from 'vitest'
import { ReleasePace, TICK_MS } from '../../../src/dataplane/waiting/release-pace.ts'

/** What a worker does that needs so long for each that it lets go, besides what it does for others: how long all took, and its longest tick. */
function releaseOf(
  count: number,
  eachMs: number,
  othersMs = 0,
): { readonly tookMs: number; readonly longestMs: number; readonly busy: number } {
  const pace = new ReleasePace(0, 0)
  let [nowMs, left, longestMs, spentMs, busyMs] = [0, count, 0, 0, 0]
  while (left > 0) {
    const tickMs = Math.max(TICK_MS, spentMs)
    nowMs += tickMs
    longestMs = Math.max(longestMs, tickMs)
    busyMs += spentMs
    const turns = Math.min(left, pace.turnsAt(nowMs, busyMs))
    left -= turns
    spentMs = turns * eachMs + othersMs
  }
  return { tookMs: nowMs, longestMs, busy: busyMs / nowMs }
}

test('few go at first, and more with each tick that is in time', () => {
  const pace = new ReleasePace(0, 0)
  const turns = Array.from({ length: 40 }, (_, n) => pace.turnsAt((n + 1) * TICK_MS, 0))
  expect([turns[0], turns[39]]).toEqual([2, 6])
  // What is left over of a turn goes with the next, so a single tick may have one less than the one before.
  const tens = [0, 10, 20, 30].map((at) => turns.slice(at, at + 10).reduce((sum, each) => sum + each))
  expect(tens).toEqual([...new Set(tens)].toSorted((a, b) => a - b))
})

test('a crowd of 1,500 makes nobody else wait for more than a tick, leaves the worker idle for a third of the time, and is soon gone', () => {
  for (const eachMs of [0.05, 0.1, 0.2]) {
    const { tookMs, longestMs, busy } = releaseOf(1_500, eachMs)
    const isGood = [longestMs <= TICK_MS, busy < 0.67, tookMs < 700]
    expect(isGood, `${eachMs}: ${tookMs}, ${longestMs}, ${busy}`).toEqual([true, true, true])
  }
})

test('where each costs a lot, or the worker is busy with others all the while, they go as well: the least doubles with time', () => {
  expect(releaseOf(1_500, 1).tookMs).toBeLessThan(3_000)
  const { tookMs } = releaseOf(10_000, 0.1, 20)
  expect([tookMs > 1_000, tookMs < 10_000], String(tookMs)).toEqual([true, true])
})
