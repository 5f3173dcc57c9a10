/**
 * The way by which a worker makes control look at the counters at once: a cell of shared memory that it counts up and that is
 * waited for here. No message is sent, and what rings meanwhile is one ring.
 *
 * A look is followed by a pause of some times as long as it took, so that a storm of failures costs the main thread a part of
 * its time only.
 */
import type { Clock } from '../clock.ts'
import type { SharedMemory } from './layout.ts'

export interface Alarm {
  /** The cell that is counted up. */
  readonly cell: number
  /** The pause after a look. */
  readonly pauseMsMin: number
  /** And how many times as long as the look. */
  readonly pausePerLook: number
}

/** Counts a cell up, and wakes whoever waits for that. */
export function raise(cells: Int32Array, cell: number): void {
  Atomics.add(cells, cell, 1)
  Atomics.notify(cells, cell)
}

/** Calls `look` when a worker has rung, until what it returns is called. */
export function onAlarm(
  { cells }: SharedMemory,
  clock: Clock,
  { cell, pauseMsMin, pausePerLook }: Alarm,
  look: () => void,
): () => void {
  let stopped = false
  let cancelPause = () => {}
  let heard = Atomics.load(cells, cell)

  function wait(): void {
    if (stopped) return
    const { async: isLater, value } = Atomics.waitAsync(cells, cell, heard)
    if (isLater) void value.then(answer)
    else answer()
  }

  function answer(): void {
    if (stopped) return
    heard = Atomics.load(cells, cell)
    const startMs = clock.monotonicMs()
    look()
    const tookMs = clock.monotonicMs() - startMs
    cancelPause = clock.after(Math.max(pauseMsMin, tookMs * pausePerLook), wait)
  }

  wait()
  return () => {
    stopped = true
    cancelPause()
    // Whoever waits is let go, so that nothing of this is left.
    Atomics.notify(cells, cell)
  }
}
