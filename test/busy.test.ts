/** A store that another process locks again and again, for one change after the other. */
import { expect, test } from 'vitest'
import { BUSY_MS, StoreBusy, untilFree } from '../src/busy.ts'

/** How long is waited for a lock that is free for some milliseconds in each period; null when it is given up. */
async function waitedFor(freeMs: number, periodMs: number, phaseMs: number): Promise<number | null> {
  let nowMs = 0
  const clock = {
    monotonicMs: () => nowMs,
    after: (ms: number, run: () => void) => {
      nowMs += ms
      queueMicrotask(run)
      return () => {}
    },
  }
  const attempt = async () => {
    if ((nowMs + phaseMs) % periodMs >= freeMs) throw new StoreBusy('locked')
  }
  return untilFree(clock, attempt).then(
    () => nowMs,
    () => null,
  )
}

test('a lock that is free only for moments is had within a second, whatever the rhythm of who has it', async () => {
  for (const periodMs of [10, 20, 25, 50, 60, 75, 100]) {
    for (let phaseMs = 0; phaseMs < periodMs; phaseMs++) {
      const waitedMs = await waitedFor(periodMs / 10, periodMs, phaseMs)
      expect([periodMs, phaseMs, waitedMs !== null && waitedMs <= BUSY_MS]).toEqual([periodMs, phaseMs, true])
    }
  }
})

test('one that is never free is given up after a second', async () => {
  expect(await waitedFor(0, 10, 0)).toBe(null)
})
