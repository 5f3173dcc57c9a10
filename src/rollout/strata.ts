/**
 * From counters to strata: what has come since the last stratum, until it is enough for one.
 *
 * A stratum is closed by how many answers there are, never by how they went: a batch that ends at a failure is not a fair one. One
 * with an empty side teaches nothing and stays open. When the weight changes, what is open is dropped.
 *
 * One may be of millions, where a metric is given from outside, and the tests take as long as the smaller side is large. So a side
 * of more than `SIDE_MAX` is thinned to that, its bad ones in proportion: that varies less than chance does, so it alarms nobody.
 */
import type { Stratum } from './origin-test.ts'

/** Answers that a stratum has at least, and a side of it at most. */
const ANSWERS_MIN = 10
const SIDE_MAX = 20_000

export class Strata {
  #canary = 0
  #canaryBad = 0
  #control = 0
  #controlBad = 0

  /** The open one has a bad answer of the canary. */
  get isPending(): boolean {
    return this.#canaryBad > 0
  }

  /** Adds what has come. */
  add({ canary, canaryBad, control, controlBad }: Stratum): void {
    this.#canary += canary
    this.#canaryBad += canaryBad
    this.#control += control
    this.#controlBad += controlBad
  }

  /** The open stratum, when it may be closed; `share` is the part of the traffic that the canary is given, in (0, 1). */
  close(share: number): Stratum | null {
    if (!isStratum(this.#canary, this.#control, share)) return null
    const [canary, canaryBad] = thinned(this.#canary, this.#canaryBad)
    const [control, controlBad] = thinned(this.#control, this.#controlBad)
    this.drop()
    return { canary, canaryBad, control, controlBad }
  }

  /** Forgets what is open. */
  drop(): void {
    this.#canary = 0
    this.#canaryBad = 0
    this.#control = 0
    this.#controlBad = 0
  }
}

/** Whether so many answers are enough for a stratum; `share` is the part of the traffic that the canary is given, in (0, 1). */
export function isStratum(canary: number, control: number, share: number): boolean {
  const enough = Math.max(ANSWERS_MIN, Math.ceil(1 / Math.min(share, 1 - share) - 1e-9))
  return canary >= 1 && control >= 1 && canary + control >= enough
}

function thinned(all: number, bad: number): readonly [all: number, bad: number] {
  return all <= SIDE_MAX ? [all, bad] : [SIDE_MAX, Math.round((bad * SIDE_MAX) / all)]
}
