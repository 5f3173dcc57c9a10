/** Sums, growth and quantiles of counters, and what happened lately. */
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { binEndMs, binOf } from '../../src/metrics/bins.ts'
import { allocateSharedMemory, FIELD } from '../../src/metrics/layout.ts'
import {
  authorityOf,
  growth,
  histogramCount,
  isCounted,
  quantileMs,
  readTally,
  sumTallies,
} from '../../src/metrics/summary.ts'
import { createTrafficWindow } from '../../src/metrics/window.ts'
import { movableClock } from '../admin/stand-in.ts'
import { add, observe, snapshotOf, stageOf } from './stand-in.ts'

const BLUE = 'http://127.0.0.1:3001'
const GREEN = 'http://127.0.0.1:3002'

test('a tally is the sum over the lanes of all workers, of one slot only', () => {
  const memory = allocateSharedMemory(3)
  for (const worker of [0, 1, 2]) add(memory, worker, 5, 'requests', worker + 1)
  add(memory, 0, 4, 'requests', 100)
  expect(readTally(memory, [5])[FIELD.requests]).toBe(6)
  const both = sumTallies([readTally(memory, [4]), readTally(memory, [5])])
  expect(both[FIELD.requests]).toBe(106)
})

test('a target is counted from the first figure on, in any lane and any of its slots', () => {
  const memory = allocateSharedMemory(2)
  expect(isCounted(memory, [4, 5])).toBe(false)
  add(memory, 1, 5, 'bytesOut', 1)
  expect([isCounted(memory, [4, 5]), isCounted(memory, [4])]).toEqual([true, false])
})

test('growth takes gauges as they are now and counters as their difference', () => {
  const memory = allocateSharedMemory(1)
  add(memory, 0, 0, 'requests', 10)
  add(memory, 0, 0, 'inFlight', 4)
  const then = readTally(memory, [0])
  add(memory, 0, 0, 'requests', 5)
  add(memory, 0, 0, 'inFlight', -3)
  const grown = growth(readTally(memory, [0]), then)
  expect([grown[FIELD.requests], grown[FIELD.inFlight]]).toEqual([5, 1])
})

test('a slot whose counters shrank was given to another target, so all of it is new', () => {
  const memory = allocateSharedMemory(1)
  add(memory, 0, 0, 'attemptsStarted', 10)
  const then = readTally(memory, [0])
  add(memory, 0, 0, 'attemptsStarted', -7)
  expect(growth(readTally(memory, [0]), then)[FIELD.attemptsStarted]).toBe(3)
})

test('nothing observed has no quantile', () => {
  expect(quantileMs(readTally(allocateSharedMemory(1), [0]), FIELD.duration, 0.5)).toBeNull()
})

test('a quantile lies in the bin of the true one, and grows with its share', () => {
  const milliseconds = fc.array(fc.double({ min: 0, max: 200_000, noNaN: true }), { minLength: 1, maxLength: 200 })
  const memory = allocateSharedMemory(1)
  fc.assert(
    fc.property(milliseconds, fc.double({ min: 0, max: 1, noNaN: true }), (all, share) => {
      memory.targets.fill(0, 0, 1_000)
      // Whatever takes time was counted before: where nothing is, nothing is read.
      add(memory, 0, 0, 'requests', all.length)
      for (const ms of all) observe(memory, 0, 0, 'duration', ms)
      const tally = readTally(memory, [0])
      const sorted = all.toSorted((a, b) => a - b)
      const truth = sorted[Math.max(0, Math.ceil(share * all.length) - 1)]
      const found = quantileMs(tally, FIELD.duration, share)!
      const bin = binOf(truth)
      const start = bin === 0 ? 0 : binEndMs(bin - 1)
      expect(histogramCount(tally, FIELD.duration)).toBe(all.length)
      if (share > 0) expect(found).toBeGreaterThanOrEqual(start)
      expect(found).toBeLessThanOrEqual(binEndMs(bin))
      expect(quantileMs(tally, FIELD.duration, share / 2)!).toBeLessThanOrEqual(found)
    }),
    { numRuns: 200 },
  )
})

test('a quantile is interpolated within its bin', () => {
  const memory = allocateSharedMemory(1)
  for (let n = 0; n < 100; n++) observe(memory, 0, 0, 'duration', 8 + n / 50)
  expect(quantileMs(readTally(memory, [0]), FIELD.duration, 0.5)).toBeCloseTo(9, 5)
})

test.each([
  ['http://127.0.0.1:3001', '127.0.0.1:3001'],
  ['http://Shop.example', 'shop.example:80'],
  ['https://shop.example/', 'shop.example:443'],
  ['http://[::1]:9', '[::1]:9'],
  ['http://[broken', '[broken'],
])('the target %s is called %s', (url, authority) => expect(authorityOf(url)).toBe(authority))

function openWindow(
  snapshot = snapshotOf({ shop: { blue: [BLUE], green: [GREEN] } }, { split: { blue: 1 } as object }),
) {
  const memory = allocateSharedMemory(1)
  const clock = movableClock()
  const stage = stageOf(snapshot)
  const window = createTrafficWindow(stage.control, memory, clock)
  onTestFinished(() => window.close())
  const recent = (pool: string) => window.service('shop')!.pools.get(pool)![0].recent[FIELD.decided]
  const sinceSplit = (pool: string) => window.service('shop')!.pools.get(pool)![0].decidedSinceSplit
  return { memory, clock, stage, window, recent, sinceSplit }
}

test('the window reaches back 10 to 12 s, and less right after the start', () => {
  const { memory, clock, window, recent } = openWindow()
  add(memory, 0, 0, 'decided', 7)
  expect([window.service('shop')!.windowMs, recent('blue')]).toEqual([0, 7])
  clock.move(9_000)
  expect([window.service('shop')!.windowMs, recent('blue')]).toEqual([9_000, 7])
  for (let n = 0; n < 20; n++) {
    clock.move(1_500)
    expect(window.service('shop')!.windowMs).toBeGreaterThanOrEqual(10_000)
    expect(window.service('shop')!.windowMs).toBeLessThanOrEqual(12_000)
  }
  expect(recent('blue')).toBe(0)
})

test('a slot that was given to another target does not show the traffic of the one before', () => {
  const { memory, clock, stage, recent, sinceSplit } = openWindow()
  add(memory, 0, 0, 'decided', 50)
  clock.move(4_000)
  stage.snapshot = snapshotOf(
    { shop: { blue: ['http://127.0.0.1:4000'], green: [GREEN] } },
    { split: { blue: 1 } as object },
  )
  memory.targets[FIELD.decided] = 60
  expect([recent('blue'), sinceSplit('blue')]).toEqual([60, 60])
})

test.each([1_000, 9_000, 30_000])(
  'a target that was away for %i ms and comes back with its counters shows only what came since, in rate and shares',
  (awayMs) => {
    const { memory, clock, stage, window, recent, sinceSplit } = openWindow()
    const [whole, without] = [
      { blue: [BLUE], green: [GREEN] },
      { blue: [], green: [GREEN] },
    ]
    const split = { blue: 1, green: 1 } as object
    const serve = (pools: Record<string, string[]>, firstSlot: number) => {
      stage.snapshot = snapshotOf({ shop: pools }, { split, firstSlot })
      stage.publish({ type: 'change', service: 'shop' })
    }
    serve(whole, 0)
    add(memory, 0, 0, 'decided', 9_000)
    add(memory, 0, 0, 'attemptsStarted', 9_000)
    clock.move(30_000)
    serve(without, 1)
    clock.move(awayMs)
    serve(whole, 0)
    add(memory, 0, 0, 'decided', 20)
    add(memory, 0, 0, 'attemptsStarted', 20)
    for (const ms of [0, 1_000, 2_000, 6_000]) {
      clock.move(ms)
      expect(recent('blue')).toBe(20)
    }
    clock.move(12_000)
    expect([recent('blue'), window.service('shop')!.pools.get('blue')![0].total[FIELD.decided]]).toEqual([0, 9_020])
    expect(sinceSplit('blue')).toBe(9_020)
  },
)

test('a target that comes back after the split has changed has no share of what came before it', () => {
  const { memory, stage, sinceSplit } = openWindow()
  const serve = (blue: string[], split: object, firstSlot: number) => {
    stage.snapshot = snapshotOf({ shop: { blue, green: [GREEN] } }, { split, firstSlot })
    stage.publish({ type: 'change', service: 'shop' })
  }
  add(memory, 0, 0, 'decided', 500)
  serve([], { blue: 1 }, 1)
  serve([], { blue: 1, green: 1 }, 1)
  serve([BLUE], { blue: 1, green: 1 }, 0)
  add(memory, 0, 0, 'decided', 3)
  expect(sinceSplit('blue')).toBe(3)
})

test('requests since the split are counted from the change that control tells of, not from the next sample', () => {
  const { memory, clock, stage, sinceSplit } = openWindow()
  add(memory, 0, 0, 'decided', 50)
  clock.move(3_000)
  stage.snapshot = snapshotOf({ shop: { blue: [BLUE], green: [GREEN] } }, { split: { blue: 1, green: 1 } as object })
  stage.publish({ type: 'change', service: 'shop' })
  add(memory, 0, 0, 'decided', 2)
  stage.publish({ type: 'change', service: null })
  clock.move(2_000)
  expect(sinceSplit('blue')).toBe(2)
})

test('a service that is unknown, or is called like something of JavaScript, has no traffic', () => {
  const { window } = openWindow()
  for (const name of ['nowhere', 'constructor', '__proto__']) expect(window.service(name)).toBeNull()
})

test('closing ends the samples and the listening', () => {
  const { clock, stage, window } = openWindow()
  window.close()
  expect(stage.listeners.size).toBe(0)
  stage.control.snapshot = () => {
    throw new Error('still sampling')
  }
  clock.move(10_000)
})
