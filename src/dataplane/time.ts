/**
 * The time of a worker: read from the system at every read and every sweep, and not for every question about it.
 *
 * Time-outs need no more than that, and a system call per question would be felt. `tick` also shows the watchdog that the worker
 * moves.
 */
import { systemClock } from '../clock.ts'
import { WORKER_FIELD } from '../metrics/layout.ts'
import type { Counters } from './counters.ts'

export class Time {
  /** Monotonic milliseconds, as exact as the last `tick`. */
  nowMs = systemClock.monotonicMs()
  #wallOffsetMs = 0
  readonly #steadyOffsetMs = systemClock.steadyMs() - systemClock.monotonicMs()
  readonly #counters: Counters
  #dateSecond = -1
  #dateLine = ''

  constructor(counters: Counters) {
    this.#counters = counters
    this.syncWallClock()
  }

  /** Refreshes the time; called at every read, every sweep, and wherever much may come at once. */
  tick(): void {
    this.nowMs = systemClock.monotonicMs()
    this.#counters.setLane(WORKER_FIELD.aliveMs, this.nowMs)
  }

  /** Steady time in ms, as exact as the last read: drains and ejections end by it (clock.ts). */
  steadyMs(): number {
    return this.nowMs + this.#steadyOffsetMs
  }

  /** For how many ms the worker has been busy since it began: not waiting for anything to come. */
  busyMs(): number {
    return performance.eventLoopUtilization().active
  }

  /** Wall time in ms, as exact as the last sweep: for people only. */
  wallMs(): number {
    return this.nowMs + this.#wallOffsetMs
  }

  /** Follows the wall clock, which may have been set. Called by the sweep. */
  syncWallClock(): void {
    this.#wallOffsetMs = systemClock.nowMs() - systemClock.monotonicMs()
  }

  /** Lets the watchdog expect that long a silence in addition, in ms; to be taken back by the same negative amount. */
  askPatience(ms: number): void {
    this.#counters.countLane(WORKER_FIELD.patienceMs, ms)
    this.tick()
  }

  /** `Date: …` with CRLF, made once a second (RFC 9110 6.6.1). */
  dateLine(): string {
    const second = Math.floor(this.wallMs() / 1000)
    if (second !== this.#dateSecond) {
      this.#dateSecond = second
      this.#dateLine = 'Date: ' + new Date(this.wallMs()).toUTCString() + '\r\n'
    }
    return this.#dateLine
  }
}
