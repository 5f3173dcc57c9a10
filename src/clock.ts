/**
 * Time and timers: the only file that asks the system for either, so tests can put another clock in their place.
 *
 * `nowMs` is wall time and may jump; it is for what people read and what outlives the process (audit, drain deadlines).
 * `monotonicMs` never goes back; it is for durations and time-outs.
 */

export interface Clock {
  /** Wall time in milliseconds since 1970. */
  nowMs(): number
  /** Milliseconds since some fixed moment, never going back, with a fraction. */
  monotonicMs(): number
  /** Calls `run` once after `delayMs`; the returned function cancels it. Does not keep the process alive. */
  after(delayMs: number, run: () => void): () => void
  /** Calls `run` every `intervalMs`; the returned function ends it. Does not keep the process alive. */
  every(intervalMs: number, run: () => void): () => void
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
  every(intervalMs, run) {
    const timer = setInterval(run, intervalMs)
    timer.unref()
    return () => clearInterval(timer)
  },
}
