/**
 * How many of those who were held go on with each tick of their worker. Pure.
 *
 * Each of them costs the worker its time, most of all where it opens a connection, and time that it spends on them is time that others wait for. So few
 * go at first, and more with each tick, as long as the worker stands still for a good part of the time; where it does not, fewer. A tick that
 * comes late, by which others have waited already, halves them. It is no reason to make up for it: that would make the next one later. But
 * whatever the worker says, the least that goes doubles with time, so that one that is busy all the while lets them go too.
 */

/** Time between two ticks. */
export const TICK_MS = 2
/** A tick is late by which others have waited for so long. */
const LATE_MS = 2 * TICK_MS
/** The share of its time that the worker may be busy with all it does; what comes for others finds it idle the rest. */
const BUSY = 0.5
/** How much one tick counts in what is known of that share. */
const WEIGHT = 0.2
/** With one tick, at first; more with each while there is time, the part that is left where there is none; and at most, so that others have their turns between. */
const FIRST = 2
const MORE = 0.1
const LESS = 0.9
const MOST = 64
/** In so long the least doubles. */
const DOUBLED_MS = 500

export class ReleasePace {
  #turns = FIRST
  /** What of a turn is left over from the ticks before. */
  #rest = 0
  readonly beganMs: number
  #tickedMs: number
  #busyMs: number
  #busy = 0

  /** `busyMs` is how long the worker has been busy since it began. */
  constructor(nowMs: number, busyMs: number) {
    this.beganMs = nowMs
    this.#tickedMs = nowMs
    this.#busyMs = busyMs
  }

  /** How many may go with a tick at this time. */
  turnsAt(nowMs: number, busyMs: number): number {
    const passedMs = nowMs - this.#tickedMs
    if (passedMs > 0) this.#busy += WEIGHT * ((busyMs - this.#busyMs) / passedMs - this.#busy)
    this.#tickedMs = nowMs
    this.#busyMs = busyMs
    const least = FIRST * 2 ** ((nowMs - this.beganMs) / DOUBLED_MS)
    this.#turns = Math.min(MOST, Math.max(least, this.#next(passedMs > LATE_MS)))
    this.#rest += this.#turns
    const whole = Math.floor(this.#rest)
    this.#rest -= whole
    return whole
  }

  #next(isLate: boolean): number {
    if (isLate) return this.#turns / 2
    return this.#busy > BUSY ? this.#turns * LESS : this.#turns + MORE
  }
}
