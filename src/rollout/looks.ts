/**
 * When rollouts are looked at: again and again while any runs, and as soon as a batch is closed in which a new version has failed.
 *
 * What a look finds does not depend on when it comes: batches end by the clock (metrics/batches.ts).
 */
import type { Clock } from '../clock.ts'
import { type Alarm, onAlarm } from '../metrics/alarm.ts'
import { CELL, type SharedMemory } from '../metrics/layout.ts'

const LOOK_MS = 100
/** A batch with a failure of a new version has ended. */
const ALARM: Alarm = { cell: CELL.verdict, pauseMsMin: 1, pausePerLook: 3 }

export class Looks {
  readonly #clock: Clock
  readonly #look: () => boolean
  readonly #endAlarm: () => void
  #cancel = () => {}
  #isClosed = false

  /** Calls `look`, which says whether there is anything to look at. */
  constructor(memory: SharedMemory, clock: Clock, look: () => boolean) {
    this.#clock = clock
    this.#look = look
    this.#endAlarm = onAlarm(memory, clock, ALARM, look)
  }

  /** There is something to look at from now on. */
  begin(): void {
    if (this.#isClosed) return
    this.#cancel()
    this.#cancel = this.#clock.after(LOOK_MS, () => {
      if (this.#look()) this.begin()
    })
  }

  close(): void {
    this.#isClosed = true
    this.#cancel()
    this.#endAlarm()
  }
}
