/**
 * Time and timers: the only file that asks the system for either, so tests can put another clock in their place.
 *
 * `nowMs` is wall time and may jump; it is for what people read and what outlives the process.
 * `monotonicMs` never goes back; it is for durations and time-outs.
 * `steadyMs` is wall time too, but as it was when the process started, moved on by the monotonic clock: for deadlines that all
 * threads share and that are told and stored as wall time (drains, ejections). Setting the system's clock moves none of them; who
 * tells or stores one adds `wallShiftMs`. All threads of a process have the same: the first to load this file says what it is.
 */
// The global of the same name is a getter, which is called each time: half of what it takes to ask for the time.
import { performance } from 'node:perf_hooks'
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads'

export interface Clock {
  /** Wall time in milliseconds since 1970. */
  nowMs(): number
  /** Milliseconds since 1970 by a wall clock that nobody sets: never going back, the same in all threads of a process. */
  steadyMs(): number
  /** Milliseconds since some fixed moment, never going back, with a fraction. */
  monotonicMs(): number
  /** Calls `run` once after `delayMs`; the returned function cancels it. Does not keep the process alive. */
  after(delayMs: number, run: () => void): () => void
  /** Calls `run` every `intervalMs`; the returned function ends it. Does not keep the process alive. */
  every(intervalMs: number, run: () => void): () => void
}

/** The system's monotonic clock, which all threads share. */
function sharedMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1_000 + nanoseconds / 1e6
}

const ZERO_KEY = 'turnout: wall time at zero of the monotonic clock'
const wallAtZeroMs = (getEnvironmentData(ZERO_KEY) as number | undefined) ?? Date.now() - sharedMs()
// Threads that are started from here on get a copy.
setEnvironmentData(ZERO_KEY, wallAtZeroMs)

/** Below this the wall clock was not set, but kept right, and rounding. */
export const SHIFT_MS_MIN = 1_000

/**
 * How far the wall clock was set since the process began, in ms: what steady time lacks to be wall time now. It stays what it was, `lastMs`, until
 * the clock is set again: two clocks of whole milliseconds are now one apart and now not.
 */
export function wallShiftMs(clock: Pick<Clock, 'nowMs' | 'steadyMs'>, lastMs = 0): number {
  const shiftMs = clock.nowMs() - clock.steadyMs()
  return Math.abs(shiftMs - lastMs) < SHIFT_MS_MIN ? lastMs : shiftMs
}

/** What a timer of Node can hold, 24.8 days; one of more would end at once. */
const TIMER_MS_MAX = 2_147_483_647

/** Resolves after so many ms. */
export const sleep = (clock: Pick<Clock, 'after'>, ms: number): Promise<void> =>
  new Promise((resolve) => clock.after(ms, resolve))

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  steadyMs: () => Math.floor(wallAtZeroMs + sharedMs()),
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    let timer: NodeJS.Timeout
    const wait = (leftMs: number): void => {
      const later = leftMs > TIMER_MS_MAX
      timer = setTimeout(later ? () => wait(leftMs - TIMER_MS_MAX) : run, later ? TIMER_MS_MAX : leftMs)
      timer.unref()
    }
    wait(delayMs)
    return () => clearTimeout(timer)
  },
  every(intervalMs, run) {
    const timer = setInterval(run, intervalMs)
    timer.unref()
    return () => clearInterval(timer)
  },
}
