/** What a worker does to make control look at the counters at once, and what that may cost. */
import { expect, onTestFinished, test, vi } from 'vitest'
import { Counters } from '../../src/dataplane/counters.ts'
import { onAlarm } from '../../src/metrics/alarm.ts'
import { allocateSharedMemory, CELL } from '../../src/metrics/layout.ts'
import { standingClock } from '../health/stand-in.ts'

function open(lookMs = 0) {
  const memory = allocateSharedMemory(1)
  const { clock, advance, timers } = standingClock()
  let looks = 0
  const stop = onAlarm(memory, clock, { cell: CELL.alarm, pauseMsMin: 10, pausePerLook: 10 }, () => {
    looks++
    if (lookMs > 0) advance(lookMs)
  })
  onTestFinished(stop)
  const worker = new Counters(memory, 0)
  const fail = () => worker.countAttempt(0, 'failed', true)
  return { worker, fail, advance, timers, stop, looks: () => looks }
}

/** Time for whoever was woken to come. */
const turns = async () => {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}
const looksBe = (alarm: ReturnType<typeof open>, looks: number) =>
  vi.waitFor(() => expect(alarm.looks()).toBe(looks), { timeout: 5_000, interval: 2 })

test('a worker rings after three failures in a row and after each five, and not for what is well', async () => {
  const alarm = open()
  for (let n = 0; n < 1_000; n++) {
    for (const outcome of ['failed', 'good', 'failed', 'void', 'good'] as const)
      alarm.worker.countAttempt(0, outcome, true)
  }
  await turns()
  expect(alarm.looks()).toBe(0)
  const looksAfter = []
  for (let n = 1; n <= 10; n++) {
    alarm.fail()
    await turns()
    alarm.advance(1_000)
    looksAfter.push(alarm.looks())
  }
  expect(looksAfter).toEqual([0, 0, 1, 1, 2, 2, 2, 2, 2, 3])
})

test('a storm of failures costs a tenth of the time at most, and none of it is forgotten', async () => {
  const alarm = open(30)
  for (let n = 0; n < 1_000; n++) alarm.fail()
  await looksBe(alarm, 1)
  for (let n = 0; n < 1_000; n++) alarm.fail()
  alarm.advance(299)
  await turns()
  expect(alarm.looks()).toBe(1)
  alarm.advance(1)
  await looksBe(alarm, 2)
  alarm.advance(300)
  await turns()
  expect(alarm.looks()).toBe(2)
})

test('nobody looks any more, and no timer is left, once it was stopped', async () => {
  const alarm = open()
  for (let n = 0; n < 5; n++) alarm.fail()
  await looksBe(alarm, 1)
  alarm.stop()
  expect(alarm.timers()).toBe(0)
  for (let n = 0; n < 5; n++) alarm.fail()
  await turns()
  expect([alarm.looks(), alarm.timers()]).toEqual([1, 0])
})
