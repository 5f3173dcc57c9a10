/** Timers of any length. */
import { afterEach, expect, test, vi } from 'vitest'
import { systemClock } from '../src/clock.ts'

const DAY_MS = 86_400_000

afterEach(() => {
  vi.useRealTimers()
})

test('a timer that is longer than those of the system does not end at once', async () => {
  let ended = false
  const cancel = systemClock.after(30 * DAY_MS, () => {
    ended = true
  })
  await new Promise<void>((resolve) => systemClock.after(20, resolve))
  cancel()
  expect(ended).toBe(false)
})

test('it ends in its time, once, unless it is cancelled', () => {
  vi.useFakeTimers()
  const run = vi.fn()
  const cancelled = vi.fn()
  systemClock.after(60 * DAY_MS, run)
  const cancel = systemClock.after(60 * DAY_MS, cancelled)
  vi.advanceTimersByTime(60 * DAY_MS - 1)
  expect(run).not.toHaveBeenCalled()
  cancel()
  vi.advanceTimersByTime(60 * DAY_MS)
  expect(run).toHaveBeenCalledTimes(1)
  expect(cancelled).not.toHaveBeenCalled()
})
