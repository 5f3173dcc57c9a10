/**
 * How many of those who were held go on with each tick of their worker. Pure.
 *
 * Each of them costs the worker its time, most of all where it opens a connection, and a crowd at once is time that others wait for. So few go at
 * first, more with each tick that comes in time, and half as many after one that comes late, by which the worker says that it has enough to do.
 * A late tick is no reason to make up for it: that would make the next one later. But whatever the worker says, the least that goes doubles with
 * time, so that one that is busy all the while lets them go too.
 */

/** Time between two ticks. */
export const TICK_MS = 2
/** A tick is late by which others have waited for so long. */
const LATE_MS = 2 * TICK_MS
/** With one tick, at first; more with each that is in time; and at most, so that others have their turns between. */
const FIRST = 2
const MORE = 0.1
const MOST = 64
/** In so long the least doubles. */
const DOUBLED_MS = 500

export class ReleasePace {
  #turns = FIRST
  /** What of a turn is left over from the ticks before. */
  #rest = 0
  readonly beganMs: number
  #tickedMs: number

  constructor(nowMs: number) {
    this.beganMs = nowMs
    this.#tickedMs = nowMs
  }

  /** How many may go with a tick at this time. */
  turnsAt(nowMs: number): number {
    const isLate = nowMs - this.#tickedMs > LATE_MS
    this.#tickedMs = nowMs
    const least = FIRST * 2 ** ((nowMs - this.beganMs) / DOUBLED_MS)
    this.#turns = Math.min(MOST, Math.max(least, isLate ? this.#turns / 2 : this.#turns + MORE))
    this.#rest += this.#turns
    const whole = Math.floor(this.#rest)
    this.#rest -= whole
    return whole
  }
}
