/**
 * The way by which a worker makes control look at the counters at once: a cell of shared memory that it counts up and that is
 * waited for here. No message is sent, and what rings meanwhile is one ring.
 *
 * A look is followed by a pause of ten times as long as it took, so that a storm of failures costs the main thread a tenth of
 * its time at most.
 */
import type { Clock } from '../clock.ts'
import { CELL, type SharedMemory } from '../metrics/layout.ts'

const PAUSE_MS_MIN = 10
const PAUSE_PER_LOOK = 10

/** Calls `look` when a worker has rung, until what it returns is called. */
export function onAlarm({ cells }: SharedMemory, clock: Clock, look: () => void): () => void {
  let stopped = false
  let cancelPause = () => {}
  let heard = Atomics.load(cells, CELL.alarm)

  function wait(): void {
    if (stopped) return
    const { async: isLater, value } = Atomics.waitAsync(cells, CELL.alarm, heard)
    if (isLater) void value.then(answer)
    else answer()
  }

  function answer(): void {
    if (stopped) return
    heard = Atomics.load(cells, CELL.alarm)
    const startMs = clock.monotonicMs()
    look()
    const tookMs = clock.monotonicMs() - startMs
    cancelPause = clock.after(Math.max(PAUSE_MS_MIN, tookMs * PAUSE_PER_LOOK), wait)
  }

  wait()
  return () => {
    stopped = true
    cancelPause()
    // Whoever waits is let go, so that nothing of this is left.
    Atomics.notify(cells, CELL.alarm)
  }
}
