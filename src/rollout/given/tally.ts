/** Counts of both sides that wait to be taken. Pure. */
import type { Stratum } from '../origin-test.ts'

/** The new version, and what it is compared with. */
export type Side = 'canary' | 'control'

export const NOTHING: Stratum = { canary: 0, canaryBad: 0, control: 0, controlBad: 0 }

export class Tally {
  #sum: Stratum = NOTHING

  add(side: Side, all: number, bad: number): void {
    const { canary, canaryBad, control, controlBad } = this.#sum
    this.#sum =
      side === 'canary'
        ? { canary: canary + all, canaryBad: canaryBad + bad, control, controlBad }
        : { canary, canaryBad, control: control + all, controlBad: controlBad + bad }
  }

  /** All that has come since the last call. */
  take(): Stratum {
    const sum = this.#sum
    this.#sum = NOTHING
    return sum
  }
}
